//! Which core does what.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;

/// One core.
#[derive(Clone, Copy)]
pub(crate) struct Core(usize);

impl Core {
    /// Keeps this thread, and every thread and program that it starts from now on, on this core.
    pub(crate) fn pin(self) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(self.0);
        sched_setaffinity(None, &set).with_context(|| format!("cannot use core {} alone", self.0))
    }
}

/// The two cores of a measurement.
pub(crate) struct Cores {
    /// The proxy's.
    pub(crate) proxy: Core,
    /// That of the load and the backends.
    pub(crate) load: Core,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .map(Core);
        let (proxy, load) = cores
            .next()
            .zip(cores.next())
            .context("a measurement needs two cores")?;
        Ok(Cores { proxy, load })
    }
}

/// The machine, for the reader of a table.
pub(crate) fn describe() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!(
        "{}, {cores} cores",
        model(&info).unwrap_or("unknown processor")
    ))
}

/// The processor's name in `/proc/cpuinfo`.
fn model(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(
            model("processor\t: 0\nmodel name\t: AMD EPYC\ncores\t: 2\n"),
            Some("AMD EPYC")
        );
        assert_eq!(model("processor\t: 0\n"), None);
    }
}
