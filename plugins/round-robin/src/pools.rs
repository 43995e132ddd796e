//! The schedules that this instance has worked out for its pools.

use std::rc::Rc;

use pace_plugin::{Counter, OpenError, Upstreams, warn};

use crate::candidates;
use crate::policy::Schedule;

/// The number of pools kept at the same time. A plugin that serves more works out the oldest anew, which is
/// slower and otherwise the same.
const MAX_POOLS: usize = 64;

/// The turns of a pool.
pub(crate) struct Pool {
    name: String,
    version: u64,
    /// The schedule of first attempts, over all backends that get requests.
    pub(crate) schedule: Schedule,
    pub(crate) requests: Rc<Counter>,
    /// The counter of retries, which is a separate one. If retries took numbers from first attempts, then
    /// with two backends, one of them dead, every retry would take the number of the good one, and all first
    /// attempts would go to the dead one.
    pub(crate) retries: Rc<Counter>,
}

/// The pools seen lately, the latest last.
pub(crate) struct Pools {
    seen: Vec<Pool>,
    /// The turn of pools that get no counters of their own, which share it.
    shared: Rc<Counter>,
}

impl Pools {
    pub(crate) fn new() -> Result<Self, OpenError> {
        Ok(Self {
            seen: Vec::new(),
            shared: Rc::new(Counter::open("requests")?),
        })
    }

    /// The present state of this request's pool.
    pub(crate) fn current(&mut self, upstreams: &Upstreams) -> &Pool {
        let version = upstreams.version();
        // No two pools share a version, so the version identifies the pool, and its name is not needed.
        match self.seen.iter().position(|pool| pool.version == version) {
            Some(known) => &self.seen[known],
            None => self.work_out(version, upstreams),
        }
    }

    fn work_out(&mut self, version: u64, upstreams: &Upstreams) -> &Pool {
        let name = upstreams.pool();
        let schedule = Schedule::new(&candidates(upstreams, |_| true));
        let pool = match self.seen.iter().position(|pool| pool.name == name) {
            Some(earlier) => Pool {
                version,
                schedule,
                ..self.seen.remove(earlier)
            },
            None => {
                if self.seen.len() == MAX_POOLS {
                    self.seen.remove(0);
                }
                let requests = self.counter("requests", &name);
                let retries = self.counter("retries", &name);
                Pool {
                    name,
                    version,
                    schedule,
                    requests,
                    retries,
                }
            }
        };
        self.seen.push(pool);
        &self.seen[self.seen.len() - 1]
    }

    /// Opens a counter of a pool. The name of a pool has at most 48 characters, all of which a counter's may
    /// have.
    fn counter(&self, of: &str, pool: &str) -> Rc<Counter> {
        let own = Counter::open(&format!("{of}.{pool}"));
        own.map(Rc::new).unwrap_or_else(|error| {
            warn!("pool {pool} takes turns together with others: {error}");
            Rc::clone(&self.shared)
        })
    }
}
