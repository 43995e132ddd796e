//! What this instance has worked out about the pools that it serves.

use std::rc::Rc;

use pace_plugin::{Counter, OpenError, Upstreams, warn};

use crate::candidates;
use crate::policy::Schedule;

/// Pools kept at the same time. A plugin that serves more than this works out the oldest anew, which is
/// slower and otherwise the same.
const MAX_POOLS: usize = 64;

/// Whose turn it is in a pool.
pub(crate) struct Pool {
    name: String,
    version: u64,
    /// All backends that get requests, for first attempts.
    pub(crate) schedule: Schedule,
    pub(crate) requests: Rc<Counter>,
    /// Retries count apart. If they took numbers from the requests, then with two backends, one of them dead,
    /// every retry would take the number of the good one, and all first attempts would go to the dead one.
    pub(crate) retries: Rc<Counter>,
}

/// The pools seen lately, the latest last.
pub(crate) struct Pools {
    seen: Vec<Pool>,
    /// For pools that get no counters of their own: they take turns together.
    shared: Rc<Counter>,
}

impl Pools {
    pub(crate) fn new() -> Result<Self, OpenError> {
        Ok(Self {
            seen: Vec::new(),
            shared: Rc::new(Counter::open("requests")?),
        })
    }

    /// The pool of this request, as it is now.
    pub(crate) fn current(&mut self, upstreams: &Upstreams) -> &Pool {
        let version = upstreams.version();
        // No two pools share a version, so the name need not be asked for.
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

    /// The name of a pool has at most 48 characters, all of which a counter's may have.
    fn counter(&self, of: &str, pool: &str) -> Rc<Counter> {
        let own = Counter::open(&format!("{of}.{pool}"));
        own.map(Rc::new).unwrap_or_else(|error| {
            warn!("pool {pool} takes turns together with others: {error}");
            Rc::clone(&self.shared)
        })
    }
}
