//! Sends requests to the backends of a pool in turn, each as often as its weight says.
//!
//! There is nothing to configure: weights and health are the pool's.
//!
//! The turn is a counter of Pace's, one for each pool, so all workers together take turns, and pools do not
//! disturb each other. A first attempt costs two calls into the host: which version of the pool this is,
//! and the next number. What to do with the number was worked out when the version was new.
//!
//! Eligible are backends that are healthy and have a weight; if there is none, all that have a weight, because health
//! may be wrong about all of them and nothing is lost by asking. A backend of weight 0 gets nothing new, not even when it is
//! the last. A retry leaves out who was tried before. When nobody is left, it passes, and Pace answers 503.

#![forbid(unsafe_code)]

// Public for those who run the policy without the sandbox, to see what the sandbox costs.
#[doc(hidden)]
pub mod policy;
mod pools;

use pace_plugin::{NoConfig, Plugin, Request, SelectUpstream, Selection, Upstreams};

use policy::{Candidate, Schedule};
use pools::Pools;

struct RoundRobin {
    pools: Pools,
}

impl Plugin for RoundRobin {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self { pools: Pools::new()? })
    }
}

impl SelectUpstream for RoundRobin {
    fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let pool = self.pools.current(upstreams);
        let index = if attempt == 1 {
            pool.schedule.pick(pool.requests.add(1).wrapping_sub(1))
        } else {
            let schedule = Schedule::new(&candidates(upstreams, |index| !upstreams.tried(index)));
            schedule.pick(pool.retries.add(1).wrapping_sub(1))
        };
        index.map_or(Selection::Pass, Selection::Pick)
    }
}

/// The backends of the pool that `may_be_asked`.
fn candidates(upstreams: &Upstreams, may_be_asked: impl Fn(u32) -> bool) -> Vec<Candidate> {
    (0..upstreams.count())
        .filter(|&index| may_be_asked(index))
        .map(|index| Candidate {
            index,
            weight: upstreams.weight(index),
            health: upstreams.health(index),
        })
        .collect()
}

pace_plugin::export!(RoundRobin: SelectUpstream);
