//! The cost of a backend: its latency as it was lately, sensitive to peaks.

/// The moving average of a backend's latency, which rises at once and falls exponentially, as in Finagle's `PeakEwma`.
///
/// A plugin does not see single responses. The average is of Pace's own average, as it is whenever the backend is
/// looked at. All times are in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// The average; 0 before the first measurement.
    average: f64,
    /// The latency seen last, by which a new measurement is told from an old one.
    latency: Option<f64>,
    /// The time of the last look.
    seen: f64,
}

/// The latency of a backend whose attempt failed. Nothing measures a failure, and one that comes at once
/// must not look like a fast answer.
const OF_A_FAILURE: f64 = 1.0;

/// The latency of a backend that has not answered yet and has requests in flight: more than any response takes.
const OF_THE_UNKNOWN: f64 = 1e6;

impl Cost {
    /// Takes a look at the backend into account: Pace's average of its latency, and whether it has no requests in
    /// flight.
    pub(super) fn observe(&mut self, latency: Option<f64>, is_idle: bool, now: f64, decay: f64) {
        let elapsed = (now - self.seen).max(0.0);
        self.seen = now;
        let target = match latency {
            Some(new) if self.latency != latency => new,
            // With a request in flight, the next measurement is on its way.
            _ if !is_idle => return,
            _ => 0.0,
        };
        self.latency = latency;
        self.average = if target > self.average {
            target
        } else {
            let kept = (-elapsed / decay).exp();
            self.average * kept + target * (1.0 - kept)
        };
    }

    /// Takes note of an attempt that failed.
    pub(super) fn failed(&mut self, now: f64) {
        self.average = self.average.max(OF_A_FAILURE);
        self.seen = now;
    }

    /// The cost of one more request.
    pub(super) fn of_another(&self, in_flight: u32) -> f64 {
        match self.latency {
            // If it is idle it costs nothing, so that it is measured, unless it has failed.
            None if in_flight > 0 => OF_THE_UNKNOWN * f64::from(in_flight),
            _ => self.average * (f64::from(in_flight) + 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DECAY: f64 = 10.0;

    /// A cost that has been told these latencies, each a second after the one before.
    fn told(latencies: &[f64]) -> Cost {
        let mut cost = Cost::default();
        for (second, &latency) in (0..).zip(latencies) {
            cost.observe(Some(latency), false, f64::from(second), DECAY);
        }
        cost
    }

    #[test]
    fn rise_counts_at_once_and_fall_little_by_little() {
        assert_eq!(told(&[0.01, 0.5]).average, 0.5);
        let after_a_second = told(&[0.5, 0.01]).average;
        let expected = 0.5 * (-0.1_f64).exp() + 0.01 * (1.0 - (-0.1_f64).exp());
        assert!((after_a_second - expected).abs() < 1e-12, "{after_a_second}");
    }

    #[test]
    fn idle_backend_fades_and_a_busy_one_does_not() {
        for (is_idle, expected) in [(true, (-1.0_f64).exp()), (false, 1.0)] {
            let mut cost = told(&[1.0]);
            for second in 1..=10 {
                cost.observe(Some(1.0), is_idle, f64::from(second), DECAY);
            }
            assert!((cost.average - expected).abs() < 1e-12, "{is_idle}: {cost:?}");
        }
    }

    #[test]
    fn cost_grows_with_requests_in_flight() {
        let cost = told(&[0.01]);
        assert_eq!(
            [0, 1, 9].map(|in_flight| cost.of_another(in_flight)),
            [0.01, 0.02, 0.1]
        );
    }

    #[test]
    fn unknown_backend_is_asked_by_one_request_at_a_time() {
        let cost = told(&[]);
        assert_eq!(cost.of_another(0), 0.0);
        assert!(cost.of_another(1) > told(&[86_400.0]).of_another(10));
        assert!(cost.of_another(2) > cost.of_another(1));
    }

    #[test]
    fn failure_counts_as_a_slow_answer_until_it_has_faded() {
        let mut cost = told(&[]);
        cost.failed(0.005);
        assert_eq!(cost.of_another(0), OF_A_FAILURE);
        cost.observe(None, true, 0.005 + DECAY * 10.0, DECAY);
        assert!(cost.of_another(0) < 1e-4, "{cost:?}");
        // A slow backend does not become faster by failing.
        let mut slow = told(&[5.0]);
        slow.failed(0.005);
        assert_eq!(slow.average, 5.0);
    }

    proptest! {
        #[test]
        fn cost_is_a_number_for_any_look(
            looks in proptest::collection::vec((any::<Option<u64>>(), any::<bool>(), any::<u64>()), 0..20),
            in_flight in any::<u32>(),
        ) {
            let mut cost = Cost::default();
            for (latency, is_idle, now) in looks {
                let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
                cost.observe(latency.map(seconds), is_idle, seconds(now), DECAY);
                prop_assert!(cost.of_another(in_flight).is_finite() && cost.of_another(in_flight) >= 0.0);
            }
        }
    }
}
