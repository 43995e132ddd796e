//! The division of a run's time into phases.

use super::report::THOROUGH;
use std::time::Duration;

/// The length of each phase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) capacity: Duration,
    pub(crate) warm_up: Duration,
    /// The length of a slice, the unit in which the load is measured.
    pub(crate) slice: Duration,
    /// Slices before memory is measured, so that memory no longer needed is given back.
    pub(crate) settle: u32,
    /// Slices in which memory is measured, before all swaps and after them.
    pub(crate) measured: u32,
    /// Blocks of swaps, each followed by a slice without swaps.
    pub(crate) blocks: u32,
    /// Slices with swaps in each block.
    pub(crate) swapping: u32,
}

impl Plan {
    pub(crate) fn of(total: Duration) -> Plan {
        let seconds = Duration::from_secs;
        let part =
            |divisor: u32, [least, most]: [u64; 2]| (total / divisor).clamp(seconds(least), seconds(most));
        let whole = |time: Duration, part: Duration| (time.as_millis() / part.as_millis()) as u32;
        let (capacity, warm_up) = (part(15, [2, 8]), part(5, [2, 30]));
        let (slice, settle) = match total < THOROUGH {
            true => (seconds(1), 0),
            false => (seconds(2), 1),
        };
        let measured = whole(part(10, [1, 30]), slice).max(1);
        let ends = 2 * (settle + measured) * slice;
        let rest = total.saturating_sub(capacity + warm_up + ends);
        let blocks = whole(rest, BLOCK).max(1);
        Plan {
            capacity,
            warm_up,
            slice,
            settle,
            measured,
            blocks,
            swapping: whole(rest / blocks, slice).saturating_sub(1).max(1),
        }
    }
}

/// The approximate length of a block.
const BLOCK: Duration = Duration::from_secs(12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swaps_get_most_of_the_time() {
        let seconds = Duration::from_secs;
        let minute = Plan {
            capacity: seconds(4),
            warm_up: seconds(12),
            slice: seconds(2),
            settle: 1,
            measured: 3,
            blocks: 2,
            swapping: 6,
        };
        assert_eq!(Plan::of(seconds(60)), minute);
        for total in [seconds(12), seconds(60), seconds(3600), seconds(100 * 3600)] {
            let plan = Plan::of(total);
            let ends = 2 * (plan.settle + plan.measured) * plan.slice;
            let all = plan.capacity + plan.warm_up + ends + plan.blocks * (plan.swapping + 1) * plan.slice;
            let left = total.saturating_sub(all);
            assert!(all <= total && left < plan.blocks * plan.slice, "{plan:?}");
            assert!(
                plan.warm_up + plan.blocks * plan.swapping * plan.slice > total / 2,
                "{plan:?}"
            );
        }
        assert_eq!(Plan::of(seconds(5)).swapping, 1);
    }
}
