//! The latency of the faster backends of a pool.

/// The latency that a quarter of the backends are below, as far as they have been drawn. A quarter, and not the least one: a
/// single backend that is faster than the others does not make those slow.
#[derive(Clone, Debug, Default)]
pub(super) struct Typical {
    /// In seconds; `None` before the first latency.
    quarter: Option<f64>,
}

/// The share by which the estimate moves up for each latency above it; for each below it three times as much down, which
/// holds it where one of four is below.
const STEP: f64 = 0.02;

/// The least latency that is told from none, in seconds.
const LEAST: f64 = 1e-6;

impl Typical {
    /// Takes note of a latency in seconds, and returns the estimate.
    ///
    /// An estimate of a quantile that needs one number (Robbins and Monro, A Stochastic Approximation Method, 1951). Its steps
    /// are shares of itself, so it follows latencies of any size as quickly.
    pub(super) fn with(&mut self, latency: f64) -> f64 {
        let latency = latency.max(LEAST);
        let quarter = match self.quarter {
            None => latency,
            Some(quarter) if latency < quarter => (quarter * (1.0 - 3.0 * STEP)).max(latency),
            Some(quarter) => (quarter * (1.0 + STEP)).min(latency),
        };
        self.quarter = Some(quarter);
        quarter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The estimate after some rounds of these latencies in milliseconds.
    fn after(rounds: usize, latencies: &[f64]) -> f64 {
        let mut typical = Typical::default();
        let all = latencies.iter().cycle().take(rounds * latencies.len());
        all.map(|latency| typical.with(latency / 1000.0))
            .last()
            .unwrap_or_default()
            * 1000.0
    }

    #[test]
    fn estimate_is_that_of_the_faster_half_if_half_is_slow() {
        for latencies in [[300.0, 30.0], [30.0, 300.0]] {
            let estimate = after(100, &latencies);
            assert!((28.0..33.0).contains(&estimate), "{estimate}");
        }
    }

    #[test]
    fn one_fast_backend_of_many_does_not_count() {
        let mut latencies = [20.0; 10];
        latencies[3] = 1.0;
        let estimate = after(100, &latencies);
        assert!((17.0..21.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn estimate_follows_when_all_become_slower_or_faster() {
        let mut typical = Typical::default();
        for (latency, estimate) in [(0.01, 0.01), (0.5, 0.5), (0.002, 0.002), (0.0, LEAST)] {
            for _ in 0..1000 {
                typical.with(latency);
            }
            let followed = typical.with(latency);
            assert!((followed / estimate - 1.0).abs() < 0.1, "{followed} {estimate}");
        }
    }

    #[test]
    fn estimate_is_always_a_number_above_zero() {
        let mut typical = Typical::default();
        for latency in [f64::MAX, 0.0, 1e30, f64::MIN_POSITIVE, 5.0] {
            for _ in 0..10_000 {
                let estimate = typical.with(latency);
                assert!(estimate.is_finite() && estimate > 0.0, "{estimate}");
            }
        }
    }
}
