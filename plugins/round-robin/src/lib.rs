//! Sends requests to the backends of a pool in turn, each as often as its weight says.
//!
//! There is nothing to configure: weights and health are the pool's.
//!
//! The turn is a counter of Pace's, one for each pool, so all workers share it, and pools do not disturb each
//! other. A first attempt costs two calls into the host: for the version of the pool, and for the next
//! number. The backend of each number is worked out once per version.
//!
//! Eligible backends are those that are healthy and have a weight; if there are none, all with a weight,
//! because the health may be wrong about all of them and nothing is lost by trying. A backend of weight 0
//! gets no new requests, even if it is the last. A retry leaves out backends tried before. If no backend is
//! left, the plugin abstains, and Pace answers 503.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
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

/// The backends of the pool for which `may_be_asked` holds.
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
