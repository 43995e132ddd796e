//! A histogram of any number of latencies in little memory.

use std::time::Duration;

/// Buckets for each power of two, so a value is off by at most 3 %.
const PER_OCTAVE: u64 = 32;

/// Counts of durations, in microseconds.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram {
            counts: vec![0; bucket(u64::MAX) + 1],
        }
    }

    pub(crate) fn add(&mut self, value: Duration) {
        self.counts[bucket(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))] += 1;
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smallest value that at least `share` (0 to 1) of all values do not exceed; zero if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper_end(index));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a value. Small values have a bucket each; larger ones are told apart by the exponent and the
/// bits after the first.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PER_OCTAVE.ilog2() + 1);
    (u64::from(shift) * PER_OCTAVE + (value >> shift)) as usize
}

/// The largest value in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PER_OCTAVE {
        return bucket;
    }
    let shift = bucket / PER_OCTAVE - 1;
    let digits = u128::from(bucket - shift * PER_OCTAVE);
    u64::try_from(((digits + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_end_of_bucket_is_at_least_its_values_and_close_to_them() {
        for value in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let end = upper_end(bucket(value));
            assert!(end >= value && end - value <= value / PER_OCTAVE, "{value} {end}");
        }
    }

    #[test]
    fn quantile_is_close_to_the_exact_value() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        let mut half = Histogram::new();
        for micros in 1..=50 {
            histogram.add(Duration::from_micros(micros));
            half.add(Duration::from_micros(micros));
        }
        histogram.merge(&half);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile(0.5), Duration::from_micros(25));
        assert_eq!(histogram.quantile(0.99), Duration::from_micros(50));
    }
}
