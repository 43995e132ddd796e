//! Sends each request to the less busy of two random backends.
//!
//! There is nothing to configure: weights and health are the pool's.
//!
//! A backend is busy with the requests whose responses are not complete, over all workers of this Pace. Two backends
//! are drawn at random, each as often as its weight says; the one with fewer requests for its weight gets the request,
//! and if they have the same, the first of them. So an idle pool is used by weight, a slow backend gets less as its
//! requests pile up, and the cost does not depend on the number of backends: five calls into the host.
//!
//! That is not enough where some backends are slow all the time and the pool is not busy: their requests do not pile up, and
//! the slowest answers of all are theirs. So a backend whose latency is four times that of the faster ones counts as busier by
//! as many times as it is slower, and other pairs are drawn in place of such a one. It gets what the others have no room for,
//! and one request now and then that shows whether it still is slow. One that has never answered counts as slow from its first
//! request until it does.
//!
//! Eligible backends are the healthy ones; if there are none, the unhealthy and ejected ones, since the health may be
//! wrong about all of them. A backend that is draining or has a weight of 0 gets no new requests, even if it is the
//! last. A retry leaves out backends tried before. If no backend is left, the plugin abstains, and Pace answers 503.
//!
//! A backend that refuses every request at once is never busy. So one whose attempt has failed, as a retry tells, loses
//! the next 16 comparisons: of two backends it is asked by one request of 17 and not by most.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod policy;

use balancing::Random;
use pace_plugin::{NoConfig, Plugin, Request, SelectUpstream, Selection, Upstreams};

struct LeastRequest(policy::LeastRequest);

impl Plugin for LeastRequest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self(policy::LeastRequest::new(Random::of_instance()?)))
    }
}

impl SelectUpstream for LeastRequest {
    fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let picked = self.0.pick(upstreams, attempt);
        picked.map_or(Selection::Pass, Selection::Pick)
    }
}

pace_plugin::export!(LeastRequest: SelectUpstream);
