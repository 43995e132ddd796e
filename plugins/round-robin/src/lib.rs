//! Sends requests to the backends of a pool in turn, each as often as its weight says.
//!
//! There is nothing to configure: weights and health are the pool's.
//!
//! The turn is a counter of Pace's, one for each pool, so all workers share it, and pools do not disturb each
//! other. A first attempt costs two calls into the host: for the version of the pool, and for the next
//! number. The backend of each number is worked out once per version.
//!
//! Eligible backends are the healthy ones; if there are none, the unhealthy and ejected ones, since the health may be
//! wrong about all of them and nothing is lost by trying. A backend that is draining or has a weight of 0 gets no
//! new requests, even if it is the last. A retry leaves out backends tried before. If no backend is left, the
//! plugin abstains, and Pace answers 503.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod policy;

use std::rc::Rc;

use balancing::Pools;
use pace_plugin::{
    Counter, NoConfig, OpenError, Plugin, Request, SelectUpstream, Selection, Upstreams, warn,
};

use policy::Turns;

struct RoundRobin {
    pools: Pools<Pool>,
    /// The turn of pools that get no counters of their own, which share it.
    shared: Rc<Counter>,
}

/// The turns of a version of a pool.
struct Pool {
    turns: Turns,
    requests: Rc<Counter>,
    /// The counter of retries, which is a separate one. If retries took numbers from first attempts, then
    /// with two backends, one of them dead, every retry would take the number of the good one, and all first
    /// attempts would go to the dead one.
    retries: Rc<Counter>,
}

impl Plugin for RoundRobin {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self {
            pools: Pools::new(),
            shared: Rc::new(Counter::open("requests")?),
        })
    }
}

impl SelectUpstream for RoundRobin {
    fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let pool = self.pools.current(upstreams, |name, before| {
            Pool::of(upstreams, name, before, &self.shared)
        });
        let index = match attempt {
            1 => pool.turns.first(next(&pool.requests)),
            _ => pool.turns.retry(upstreams, || next(&pool.retries)),
        };
        index.map_or(Selection::Pass, Selection::Pick)
    }
}

impl Pool {
    fn of(upstreams: &Upstreams, name: &str, before: Option<&Self>, shared: &Rc<Counter>) -> Self {
        let counter = |of: &str, before: Option<&Rc<Counter>>| match before {
            Some(counter) => Rc::clone(counter),
            None => open(of, name, shared),
        };
        Self {
            turns: Turns::of(upstreams),
            requests: counter("requests", before.map(|pool| &pool.requests)),
            retries: counter("retries", before.map(|pool| &pool.retries)),
        }
    }
}

/// Opens a counter of a pool. The name of a pool has at most 48 characters, all of which a counter's may have.
fn open(of: &str, pool: &str, shared: &Rc<Counter>) -> Rc<Counter> {
    let own: Result<_, OpenError> = Counter::open(&format!("{of}.{pool}"));
    own.map(Rc::new).unwrap_or_else(|error| {
        warn!("pool {pool} takes turns together with others: {error}");
        Rc::clone(shared)
    })
}

/// The next number of a counter, counted from 0.
fn next(counter: &Counter) -> u64 {
    counter.add(1).wrapping_sub(1)
}

pace_plugin::export!(RoundRobin: SelectUpstream);
