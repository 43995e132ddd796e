//! Sends requests of the same key to the same backend.
//!
//! | key | | default |
//! |---|---|---|
//! | `key` | what requests of one backend have in common: `"client"`, `"path"`, `"header:NAME"` or `"cookie:NAME"` | `"client"` |
//! | `max_load_percent` | the most requests in flight that a backend may have, in percent of its share of the pool's, 101 to 10000; 0: as many as come | 0 |
//!
//! A client is its IPv4 address, or the first 64 bits of its IPv6 address: it has the whole network, and takes new
//! addresses from it at will. The path is taken without the query. A request without the header or cookie, or with
//! an empty one, goes where its client belongs.
//!
//! The key's hash (XXH64) points to a slot of a table, and the slot to a backend. The table is Maglev's: each backend
//! has as many slots as its weight says, and a change of the backends moves few others. It follows from addresses and
//! weights alone, so all workers and all Paces with the same pool agree, in whatever order it lists them.
//!
//! A backend that gets nothing at the moment keeps its slots: its keys, and no others, go to their second choice or
//! the next after that, and come back as soon as it does. So do the keys of a request that has been there, and with
//! `max_load_percent` what is too much for one backend. 125 is a good bound for caches, since a key in great demand
//! spills over to as few others as it needs.
//!
//! A request costs two calls into the host, four with a bound, for any number of backends. The table is worked out
//! once per change of addresses and weights.
//!
//! Eligible backends are the healthy ones; if there are none, the unhealthy and ejected ones, since the health may be
//! wrong about all of them. A backend that is draining or has a weight of 0 gets no new requests, even if it is the
//! last. A retry leaves out backends tried before. If no backend is left, the plugin abstains, and Pace answers 503.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod policy;

use pace_plugin::{Plugin, Request, SelectUpstream, Selection, Upstreams};

use config::{Config, Key};

struct ConsistentHash {
    key: Key,
    policy: policy::ConsistentHash,
}

impl Plugin for ConsistentHash {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self {
            policy: policy::ConsistentHash::new(config.max_load_percent),
            key: config.key,
        })
    }
}

impl SelectUpstream for ConsistentHash {
    fn select_upstream(&mut self, request: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let value = match &self.key {
            Key::Client => None,
            Key::Path => Some(request.path().into_bytes()),
            Key::Header(name) => request.header(name),
            Key::Cookie(name) => request.cookie(name),
        };
        let hash = match value {
            Some(value) if !value.is_empty() => policy::hash(&value),
            _ => policy::hash_of_client(request.client_address()),
        };
        let picked = self.policy.pick(upstreams, attempt, hash);
        picked.map_or(Selection::Pass, Selection::Pick)
    }
}

pace_plugin::export!(ConsistentHash: SelectUpstream);
