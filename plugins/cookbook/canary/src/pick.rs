//! Which backend: the version first, then the load.

/// What is known of a backend as long as the pool stays as it is.
#[derive(Clone, Copy)]
pub(crate) struct Backend {
    pub(crate) is_new: bool,
    /// 0: nothing new.
    pub(crate) weight: u32,
    pub(crate) is_healthy: bool,
}

/// The index of a backend. Of several that have as much to do, another one each `turn`.
pub(crate) fn pick(
    backends: &[Backend],
    wants_new: bool,
    turn: u32,
    tried: impl Fn(u32) -> bool,
    in_flight: impl Fn(u32) -> u32,
) -> Option<u32> {
    let count = u32::try_from(backends.len()).ok()?;
    let versions: &[bool] = if wants_new { &[true, false] } else { &[false] };
    let of = |is_new: bool, is_good: &dyn Fn(u32, &Backend) -> bool| {
        (0..)
            .zip(backends)
            .filter(|(index, backend)| {
                backend.is_new == is_new && backend.weight > 0 && is_good(*index, backend)
            })
            // A request more than it has, so that the weights count also when nobody has any.
            .min_by_key(|(index, backend)| {
                let load = (u64::from(in_flight(*index)) + 1) * 65_536 / u64::from(backend.weight);
                (load, (index + count - turn % count) % count)
            })
            .map(|(index, _)| index)
    };
    let good = |index, backend: &Backend| backend.is_healthy && !tried(index);
    let best = versions.iter().find_map(|is_new| of(*is_new, &good));
    // One that may fail is better than none at all.
    best.or_else(|| of(false, &|_, _| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Backend = Backend {
        is_new: false,
        weight: 1,
        is_healthy: true,
    };
    const NEW: Backend = Backend { is_new: true, ..OLD };
    const ILL: Backend = Backend {
        is_healthy: false,
        ..NEW
    };

    fn at_rest(backends: &[Backend], wants_new: bool, turn: u32) -> Option<u32> {
        pick(backends, wants_new, turn, |_| false, |_| 0)
    }

    #[test]
    fn each_version_has_its_requests_in_turns() {
        let pool = [OLD, NEW, OLD, NEW];
        let of = |wants_new| {
            (0..4)
                .filter_map(|turn| at_rest(&pool, wants_new, turn))
                .collect::<Vec<_>>()
        };
        assert_eq!((of(false), of(true)), (vec![0, 2, 2, 0], vec![1, 1, 3, 3]));
    }

    #[test]
    fn the_least_busy_for_its_weight_is_picked() {
        let pool = [OLD, Backend { weight: 4, ..OLD }, Backend { weight: 0, ..OLD }];
        let with = |busy: [u32; 3]| pick(&pool, false, 0, |_| false, |index| busy[index as usize]);
        assert_eq!(
            (with([0, 0, 0]), with([0, 4, 0]), with([1, 6, 0])),
            (Some(1), Some(0), Some(1))
        );
    }

    #[test]
    fn the_old_version_stands_in_for_the_new_one() {
        assert_eq!(at_rest(&[OLD, ILL], true, 0), Some(0));
        assert_eq!(
            pick(&[OLD, NEW], true, 0, |index| index == 1, |_| 0),
            Some(0),
            "after a failed attempt"
        );
    }

    #[test]
    fn the_new_version_never_stands_in_for_the_old_one() {
        assert_eq!(
            at_rest(
                &[
                    Backend {
                        is_healthy: false,
                        ..OLD
                    },
                    NEW
                ],
                false,
                1
            ),
            Some(0)
        );
        assert_eq!(pick(&[OLD, NEW], false, 0, |index| index == 0, |_| 0), Some(0));
        assert_eq!(at_rest(&[NEW], false, 0), None);
    }
}
