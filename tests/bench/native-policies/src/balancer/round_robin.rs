//! `builtin:round-robin`, whose turns are counters that all workers share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pace_hook::{Candidates, Failure, Hook, Hooks, Plugin, RequestScope, Selection};
use pace_state::{Counter, Scope};
use round_robin::policy::Turns;

use super::pool::Pool;
use crate::refused;

pub(crate) struct RoundRobin {
    name: String,
    scope: Arc<Scope>,
    /// The pools seen so far, at their versions.
    pools: ArcSwap<Vec<Arc<Known>>>,
}

struct Known {
    version: u64,
    turns: Turns,
    requests: Arc<Counter>,
    retries: Arc<Counter>,
}

impl RoundRobin {
    pub(crate) fn new(name: &str, scope: Arc<Scope>) -> RoundRobin {
        RoundRobin {
            name: name.to_owned(),
            scope,
            pools: ArcSwap::default(),
        }
    }

    /// Counts the next request of this kind, and picks its backend.
    fn pick(&self, candidates: &dyn Candidates, attempt: u32) -> Result<Option<u32>, Failure> {
        let version = candidates.version();
        let pools = self.pools.load();
        let known = pools.iter().find(|pool| pool.version == version);
        let made;
        let pool = match known {
            Some(pool) => pool,
            None => {
                made = self.work_out(version, candidates)?;
                &made
            }
        };
        let next = |counter: &Counter| counter.add(1).wrapping_sub(1);
        Ok(match attempt {
            1 => pool.turns.first(next(&pool.requests)),
            _ => pool.turns.retry(&Pool(candidates), || next(&pool.retries)),
        })
    }

    #[cold]
    fn work_out(&self, version: u64, candidates: &dyn Candidates) -> Result<Arc<Known>, Failure> {
        let counter = |of: &str| {
            let name = format!("{of}.{}", candidates.pool());
            self.scope.counter(&name).map_err(refused)
        };
        let known = Arc::new(Known {
            version,
            turns: Turns::of(&Pool(candidates)),
            requests: counter("requests")?,
            retries: counter("retries")?,
        });
        self.pools.rcu(|pools| {
            let mut pools = Vec::clone(pools);
            pools.push(Arc::clone(&known));
            pools
        });
        Ok(known)
    }
}

impl Plugin for RoundRobin {
    fn name(&self) -> &str {
        &self.name
    }

    fn generation(&self) -> u64 {
        1
    }

    fn hooks(&self) -> Hooks {
        [Hook::SelectUpstream].into()
    }

    fn select_upstream(
        &self,
        _: RequestScope<'_>,
        candidates: &dyn Candidates,
        attempt: u32,
    ) -> Result<Selection, Failure> {
        let picked = self.pick(candidates, attempt)?;
        Ok(picked.map_or(Selection::Pass, Selection::Pick))
    }
}
