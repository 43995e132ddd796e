//! The balancers of the binary without the sandbox.

mod pool;
mod round_robin;

use std::time::Instant;

use consistent_hash::config::{Config as Hashing, Key};
use consistent_hash::policy::{ConsistentHash, hash, hash_of_client};
use least_request::policy::LeastRequest;
use pace_hook::{Candidates, Failure, Hook, Hooks, Plugin, RequestAccess, RequestScope, Selection};
use parking_lot::Mutex;
use peak_ewma::policy::PeakEwma;

use crate::refused;
use pool::Pool;
pub(crate) use round_robin::RoundRobin;

/// A policy that keeps what it knows to itself. In the sandbox each worker has one; here all workers share it behind a
/// lock, which is free where there is one worker.
pub(crate) struct Balancer<P> {
    name: String,
    policy: Mutex<P>,
}

/// A policy with the facts about a request that it needs.
pub(crate) trait Policy: Send {
    fn pick(&mut self, request: &RequestScope<'_>, pool: &Pool<'_>, attempt: u32) -> Option<u32>;
}

impl<P: Policy> Balancer<P> {
    pub(crate) fn new(name: &str, policy: P) -> Balancer<P> {
        Balancer {
            name: name.to_owned(),
            policy: Mutex::new(policy),
        }
    }
}

impl<P: Policy> Plugin for Balancer<P> {
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
        request: RequestScope<'_>,
        candidates: &dyn Candidates,
        attempt: u32,
    ) -> Result<Selection, Failure> {
        let picked = self.policy.lock().pick(&request, &Pool(candidates), attempt);
        Ok(picked.map_or(Selection::Pass, Selection::Pick))
    }
}

impl Policy for LeastRequest {
    fn pick(&mut self, _: &RequestScope<'_>, pool: &Pool<'_>, attempt: u32) -> Option<u32> {
        self.pick(pool, attempt)
    }
}

/// `builtin:peak-ewma`, with its clock.
pub(crate) struct Timed {
    pub(crate) policy: PeakEwma,
    pub(crate) begin: Instant,
}

impl Policy for Timed {
    fn pick(&mut self, _: &RequestScope<'_>, pool: &Pool<'_>, attempt: u32) -> Option<u32> {
        self.policy.pick(pool, attempt, self.begin.elapsed())
    }
}

/// `builtin:consistent-hash`, with its key.
pub(crate) struct Keyed {
    key: Key,
    policy: ConsistentHash,
}

impl Keyed {
    /// # Errors
    ///
    /// The key is a cookie: reading it is the SDK's part, which is not measured here.
    pub(crate) fn new(config: Hashing) -> Result<Keyed, Failure> {
        if let Key::Cookie(name) = &config.key {
            return Err(refused(format!(
                "the cookie {name} as a key has no native counterpart"
            )));
        }
        Ok(Keyed {
            policy: ConsistentHash::new(config.max_load_percent),
            key: config.key,
        })
    }
}

impl Policy for Keyed {
    fn pick(&mut self, request: &RequestScope<'_>, pool: &Pool<'_>, attempt: u32) -> Option<u32> {
        let head = match &request.head {
            RequestAccess::Edit(head) => &**head,
            RequestAccess::Read(head) => *head,
        };
        let value = match &self.key {
            Key::Client | Key::Cookie(_) => None,
            Key::Path => Some(head.path().as_bytes()),
            Key::Header(name) => head.header(name),
        };
        let hash = match value {
            Some(value) if !value.is_empty() => hash(value),
            _ => hash_of_client(request.facts.client),
        };
        self.policy.pick(pool, attempt, hash)
    }
}
