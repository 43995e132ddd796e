//! The weights that plugins see, which follow from those of the configuration, slow starts and backups.

use std::time::Duration;

use tokio::time::Instant;

use pace_hook::Health;

/// The facts that decide about the weight of a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The weight in the configuration, 0 to 65535.
    pub(super) weight: u32,
    pub(super) is_backup: bool,
    pub(super) health: Health,
    /// The tenths of its share that it gets, 1 to [`STEPS`].
    pub(super) step: u32,
}

/// The steps of a slow start. Each is a new version of the pool for plugins, which work out their schedules anew.
pub(super) const STEPS: u32 = 10;

/// The largest weight that plugins are shown.
const MAX_WEIGHT: u32 = 65_535;

/// The step of a slow start that began at `since`, and the moment of the next one; `None` once it is over.
pub(super) fn step(since: Instant, time: Duration, now: Instant) -> Option<(u32, Instant)> {
    let each = time / STEPS;
    if each.is_zero() {
        return None;
    }
    let done = now.saturating_duration_since(since).as_nanos() / each.as_nanos();
    let step = u32::try_from(done).unwrap_or(STEPS).saturating_add(1);
    (step <= STEPS).then(|| (step, since + each * step))
}

/// The weights of the backends of a pool, in their order.
///
/// A backend in a slow start gets some tenths of its share. As weights are whole numbers, all of them are made larger while there
/// is one. A backup gets none while another backend is healthy, and one that drains gets none at all.
pub(super) fn weights(claims: &[Claim]) -> Vec<u32> {
    let is_slow = |claim: &Claim| claim.step < STEPS;
    let largest = claims.iter().map(|claim| claim.weight).max().unwrap_or(0).max(1);
    let scale = match claims.iter().any(is_slow) {
        true => (MAX_WEIGHT / largest).clamp(1, STEPS),
        false => 1,
    };
    let is_served = claims
        .iter()
        .any(|claim| !claim.is_backup && claim.weight > 0 && claim.health == Health::Healthy);
    let weight = |claim: &Claim| match claim.health {
        _ if claim.weight == 0 || (claim.is_backup && is_served) => 0,
        Health::Draining => 0,
        Health::Healthy | Health::Unhealthy | Health::Ejected => {
            (claim.weight * scale * claim.step / STEPS).max(1)
        }
    };
    claims.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(weight: u32) -> Claim {
        Claim {
            weight,
            is_backup: false,
            health: Health::Healthy,
            step: STEPS,
        }
    }

    fn backup(weight: u32) -> Claim {
        Claim {
            is_backup: true,
            ..claim(weight)
        }
    }

    #[test]
    fn backend_in_a_slow_start_gets_tenths_of_its_share() {
        let slow = |step| Claim { step, ..claim(1) };
        assert_eq!(weights(&[claim(1), claim(1)]), [1, 1]);
        assert_eq!(weights(&[claim(1), slow(1)]), [10, 1]);
        assert_eq!(weights(&[claim(2), slow(9)]), [20, 9]);
        assert_eq!(
            weights(&[claim(65_535), slow(5)]),
            [65_535, 1],
            "there is no room for tenths"
        );
        assert_eq!(weights(&[slow(3), claim(0)]), [3, 0]);
    }

    #[test]
    fn backups_have_a_weight_only_while_no_other_backend_is_healthy() {
        let unwell = |health| Claim { health, ..claim(2) };
        assert_eq!(weights(&[claim(2), backup(3)]), [2, 0]);
        for health in [Health::Unhealthy, Health::Ejected] {
            assert_eq!(weights(&[unwell(health), backup(3)]), [2, 3]);
            assert_eq!(weights(&[unwell(health), claim(1), backup(3)]), [2, 1, 0]);
        }
        assert_eq!(weights(&[unwell(Health::Draining), backup(3)]), [0, 3]);
        assert_eq!(
            weights(&[claim(0), backup(3)]),
            [0, 3],
            "one that takes nothing new does not count"
        );
        assert_eq!(weights(&[backup(1), backup(2)]), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_start_takes_ten_steps_of_the_same_length() {
        let (since, time) = (Instant::now(), Duration::from_secs(10));
        let at = |millis| step(since, time, since + Duration::from_millis(millis));
        let next = |seconds| since + Duration::from_secs(seconds);
        assert_eq!(at(0), Some((1, next(1))));
        assert_eq!(at(999), Some((1, next(1))));
        assert_eq!(at(1_000), Some((2, next(2))));
        assert_eq!(at(9_999), Some((10, next(10))));
        assert_eq!(at(10_000), None);
        assert_eq!(step(since, Duration::ZERO, since), None);
    }

    proptest! {
        /// Neither health nor slow starts empty a pool: a backend that has a share and does not drain keeps some of it.
        #[test]
        fn weights_are_in_range_and_zero_only_where_nothing_new_may_go(
            claims in prop::collection::vec(
                (0u32..=65_535, any::<bool>(), 0usize..4, 1u32..=STEPS).prop_map(
                    |(weight, is_backup, health, step)| Claim {
                        weight,
                        is_backup,
                        health: Health::ALL[health],
                        step,
                    },
                ),
                1..20,
            ),
        ) {
            let weights = weights(&claims);
            let served = claims.iter().any(|it| !it.is_backup && it.weight > 0 && it.health == Health::Healthy);
            for (claim, weight) in claims.iter().zip(&weights) {
                prop_assert!(*weight <= MAX_WEIGHT);
                let gets_nothing =
                    claim.weight == 0 || claim.health == Health::Draining || (claim.is_backup && served);
                prop_assert_eq!(*weight == 0, gets_nothing);
            }
        }
    }
}
