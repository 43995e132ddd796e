//! Sends each request to the one of two random backends that is likely to answer sooner.
//!
//! | key | | default |
//! |---|---|---|
//! | `decay_ms` | how slowly a cost falls: in so many milliseconds it goes 63 % of the way down to the present latency, 100 to 3600000 | 10000 |
//!
//! Two backends are drawn at random, each as often as its weight says, and the one with the lower cost gets the
//! request. A backend's cost is its latency, times the requests in flight and this one, divided by its weight. The
//! latency is Pace's average of the times to the heads of responses, taken as Finagle's load balancer takes single
//! times: a rise counts at once and in full, a fall little by little. So a backend that becomes slow is left alone at
//! once, and is trusted again only as it stays fast.
//!
//! - A backend without requests in flight has nothing that would measure it again. Its cost fades, until it is asked and
//!   measured.
//! - A backend that has not answered yet is asked, by one request at a time as long as there are others.
//! - A backend whose attempt failed counts as one that takes a second.
//!
//! The averages are Pace's and shared by all workers; how they fade is a matter of each instance. A request costs six
//! calls into the host, for any number of backends.
//!
//! Eligible backends are the healthy ones; if there are none, the unhealthy and ejected ones, since the health may be
//! wrong about all of them. A backend that is draining or has a weight of 0 gets no new requests, even if it is the
//! last. A retry leaves out backends tried before. If no backend is left, the plugin abstains, and Pace answers 503.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod policy;

use balancing::Random;
use pace_plugin::{Plugin, Request, SelectUpstream, Selection, Upstreams, clock};

use policy::Config;

struct PeakEwma(policy::PeakEwma);

impl Plugin for PeakEwma {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self(policy::PeakEwma::new(&config, Random::of_instance()?)))
    }
}

impl SelectUpstream for PeakEwma {
    fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let picked = self.0.pick(upstreams, attempt, clock::monotonic());
        picked.map_or(Selection::Pass, Selection::Pick)
    }
}

pace_plugin::export!(PeakEwma: SelectUpstream);
