//! The load of the machine's processors.

use anyhow::{Context, Result};
use std::fs;

/// The time of all processors together since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    idle: u64,
    all: u64,
}

impl Times {
    pub(crate) fn now() -> Result<Times> {
        let text = fs::read_to_string("/proc/stat")?;
        times(&text).context("no times of processors in /proc/stat")
    }

    /// The share of the time since `earlier` in which processors were busy, from 0 to 1.
    pub(crate) fn busy_since(self, earlier: Times) -> f64 {
        let idle = self.idle.saturating_sub(earlier.idle);
        let all = self.all.saturating_sub(earlier.all);
        1.0 - idle as f64 / all.max(1) as f64
    }
}

/// Reads the first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, waiting for disks,
/// interrupts, soft interrupts, stolen. The fields that follow are included in the first two.
fn times(stat: &str) -> Option<Times> {
    let mut words = stat.lines().next()?.split_whitespace();
    if words.next()? != "cpu" {
        return None;
    }
    let times: Vec<u64> = words.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Times {
        idle: times.get(3)? + times.get(4)?,
        all: times.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_share_excludes_idle_and_disk_wait() {
        let earlier = times("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4\n").expect("it is complete");
        assert_eq!((earlier.idle, earlier.all), (800, 1000));
        let later = times("cpu  150 0 125 710 110 0 0 5\n").expect("it is complete");
        assert!((later.busy_since(earlier) - 0.8).abs() < 1e-9, "80 of 100");
        assert_eq!(earlier.busy_since(earlier), 1.0, "nobody can know");
        assert_eq!(times("cpu0 1 2 3 4"), None);
        assert_eq!(times("cpu 1 2 3"), None);
    }
}
