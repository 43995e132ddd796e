//! Which backends get requests.

use pace_plugin::Health;

use crate::Backends;

/// A backend that may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The index in the pool.
    pub index: u32,
    /// The share of requests, 1 to 65535.
    pub weight: u32,
}

/// The backends of a pool that may be picked, at one version of it.
///
/// A backend of weight 0 and one that is draining are in neither list: both are an operator's word that nothing
/// new goes there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligible {
    /// The backends that get requests: the healthy ones, or the others if no backend is healthy.
    ///
    /// Envoy calls the second case panic mode: if all backends seem bad, wrong health checks are more likely than an
    /// outage of all, and trying one costs no more than a failed attempt.
    pub preferred: Vec<Member>,
    /// The unhealthy and ejected ones, for a request that has been to each of the preferred.
    pub spare: Vec<Member>,
}

impl Eligible {
    /// Asks for the weight and the health of every backend.
    pub fn of(backends: &impl Backends) -> Self {
        Self::sorted((0..backends.count()).map(|index| (backends.weight(index), backends.health(index))))
    }

    /// Sorts backends by their weight and health, which come in the order of their indices.
    pub fn sorted(states: impl IntoIterator<Item = (u32, Health)>) -> Self {
        let mut sorted = Self::default();
        for (index, (weight, health)) in (0..).zip(states) {
            let member = Member { index, weight };
            match health {
                _ if weight == 0 => {}
                Health::Healthy => sorted.preferred.push(member),
                Health::Unhealthy | Health::Ejected => sorted.spare.push(member),
                Health::Draining => {}
            }
        }
        if sorted.preferred.is_empty() {
            std::mem::swap(&mut sorted.preferred, &mut sorted.spare);
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Draining, Ejected, Healthy, Unhealthy};

    /// The indices in both lists.
    fn sorted(states: &[(u32, Health)]) -> [Vec<u32>; 2] {
        let sorted = Eligible::sorted(states.iter().copied());
        [sorted.preferred, sorted.spare].map(|list| list.iter().map(|member| member.index).collect())
    }

    #[test]
    fn healthy_backends_come_first() {
        let states = [(1, Healthy), (1, Unhealthy), (1, Healthy), (1, Ejected)];
        assert_eq!(sorted(&states), [vec![0, 2], vec![1, 3]]);
    }

    #[test]
    fn all_bad_backends_are_asked_if_none_is_healthy() {
        assert_eq!(sorted(&[(1, Unhealthy), (1, Ejected)]), [vec![0, 1], vec![]]);
    }

    #[test]
    fn draining_backend_and_one_without_weight_are_not_asked() {
        assert!(sorted(&[(1, Draining), (0, Healthy)]).concat().is_empty());
        assert_eq!(
            sorted(&[(1, Draining), (1, Ejected), (0, Healthy)]),
            [vec![1], vec![]]
        );
    }
}
