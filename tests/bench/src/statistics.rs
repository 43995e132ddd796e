//! Percentiles, medians and ranges.

use std::time::Duration;

/// The smallest value that at least `percent` of all do not exceed. `sorted` is not empty.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// The median: the middle value, or the mean of the two in the middle. NaN for no values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A median with the smallest and the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// The spread of at least one value.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Spread {
    let values: Vec<f64> = values.into_iter().collect();
    Spread {
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        median: median(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
    }

    #[test]
    fn medians_ignore_outliers() {
        assert_eq!(median([5.0, 1.0, 1000.0]), 5.0);
        assert_eq!(median([1.0, 2.0, 4.0, 1000.0]), 3.0);
        assert!(median([]).is_nan());
        let all = Spread {
            low: 1.0,
            median: 5.0,
            high: 1000.0,
        };
        assert_eq!(spread([5.0, 1.0, 1000.0]), all);
    }
}
