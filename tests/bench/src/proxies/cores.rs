//! The assignment of work to cores.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Some of the machine's cores.
#[derive(Clone)]
pub(crate) struct Core(CpuSet);

impl Core {
    fn one(number: usize) -> Core {
        let mut set = CpuSet::new();
        set.set(number);
        Core(set)
    }

    /// Keeps this thread, and every thread and program that it starts from now on, on these cores.
    pub(crate) fn pin(&self) -> Result<()> {
        sched_setaffinity(None, &self.0).context("cannot choose a core")
    }
}

/// The cores of a measurement.
pub(crate) struct Cores {
    /// The core of the proxy.
    pub(crate) proxy: Core,
    /// The core of the load and the backends.
    pub(crate) load: Core,
    /// All cores that this process may use.
    pub(crate) all: Core,
}

impl Cores {
    /// Chooses the first two cores that this process may use.
    pub(crate) fn choose() -> Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .map(Core::one);
        let (proxy, load) = cores
            .next()
            .zip(cores.next())
            .context("a measurement needs two cores")?;
        Ok(Cores {
            proxy,
            load,
            all: Core(allowed),
        })
    }
}
