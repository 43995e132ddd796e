//! `builtin:round-robin` without the sandbox.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pace_hook::{Candidates, Failure, Health, Hook, Hooks, Plugin, RequestScope, Selection};
use pace_state::{Counter, Scope};
use round_robin::policy::{Candidate, Schedule};

use crate::refused;

pub(crate) struct RoundRobin {
    name: String,
    scope: Arc<Scope>,
    /// The pools seen so far, at their versions.
    pools: ArcSwap<Vec<Arc<Pool>>>,
}

struct Pool {
    version: u64,
    schedule: Schedule,
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
        if attempt == 1 {
            return Ok(pool.schedule.pick(pool.requests.add(1).wrapping_sub(1)));
        }
        let untried = Schedule::new(&eligible(candidates, |index| !candidates.tried(index)));
        Ok(untried.pick(pool.retries.add(1).wrapping_sub(1)))
    }

    #[cold]
    fn work_out(&self, version: u64, candidates: &dyn Candidates) -> Result<Arc<Pool>, Failure> {
        let counter = |of: &str| {
            let name = format!("{of}.{}", candidates.pool());
            self.scope.counter(&name).map_err(refused)
        };
        let pool = Arc::new(Pool {
            version,
            schedule: Schedule::new(&eligible(candidates, |_| true)),
            requests: counter("requests")?,
            retries: counter("retries")?,
        });
        self.pools.rcu(|pools| {
            let mut pools = Vec::clone(pools);
            pools.push(Arc::clone(&pool));
            pools
        });
        Ok(pool)
    }
}

fn eligible(candidates: &dyn Candidates, may_be_asked: impl Fn(u32) -> bool) -> Vec<Candidate> {
    (0..candidates.count())
        .filter(|&index| may_be_asked(index))
        .map(|index| Candidate {
            index,
            weight: candidates.weight(index),
            health: match candidates.health(index) {
                Health::Healthy => pace_plugin::Health::Healthy,
                Health::Unhealthy => pace_plugin::Health::Unhealthy,
                Health::Ejected => pace_plugin::Health::Ejected,
                Health::Draining => pace_plugin::Health::Draining,
            },
        })
        .collect()
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
