//! `builtin:rate-limiter` without the sandbox.

use std::sync::Arc;
use std::time::Duration;

use pace_hook::{Failure, FailureReason, Hook, Hooks, Plugin, Reply, RequestAccess, RequestScope, Verdict};
use pace_plugin::Full;
use pace_state::{Denial, Key, Prefixes, Scope, Window, WindowSpec};
use rate_limiter::policy::{Client, Config, Limit, Network};

use crate::refused;

pub(crate) struct RateLimiter {
    name: String,
    limits: pace_config::Limits,
    limit: Limit,
    scope: Arc<Scope>,
    window: Arc<Window>,
    spec: WindowSpec,
}

impl RateLimiter {
    pub(crate) fn new(
        entry: &pace_config::Plugin,
        config: Config,
        scope: &Arc<Scope>,
    ) -> Result<RateLimiter, Failure> {
        let limit = Limit::from(config);
        let spec = WindowSpec::new(limit.max_requests, limit.window).map_err(refused)?;
        Ok(RateLimiter {
            name: entry.name.clone(),
            limits: entry.limits,
            window: scope.open_window("requests", spec).map_err(refused)?,
            scope: Arc::clone(scope),
            limit,
            spec,
        })
    }

    fn deny(&self, wait: Duration) -> Result<Verdict, Failure> {
        let reply = self.limit.deny(Full { wait });
        let headers = reply
            .headers()
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()));
        Reply::parse(
            reply.status(),
            headers.collect::<Vec<_>>().into_iter(),
            reply.body_bytes().to_vec(),
            &self.limits,
        )
        .map(Verdict::Respond)
        .map_err(|detail| Failure {
            reason: FailureReason::IllegalOutput,
            detail,
        })
    }
}

impl Plugin for RateLimiter {
    fn name(&self) -> &str {
        &self.name
    }

    fn generation(&self) -> u64 {
        1
    }

    fn hooks(&self) -> Hooks {
        [Hook::RequestFilter].into()
    }

    fn request_filter(&self, request: RequestScope<'_>) -> Result<Verdict, Failure> {
        let client = request.facts.client;
        let of_network = |network: Network| match pace_plugin::Key::from(network) {
            pace_plugin::Key::ClientNetwork { ipv4, ipv6 } => Key::Network(client, Prefixes { ipv4, ipv6 }),
            _ => Key::Address(client),
        };
        let key = match &self.limit.client {
            Client::Address => Key::Address(client),
            Client::Network(network) => of_network(*network),
            Client::Header { name, otherwise } => {
                let value = match &request.head {
                    RequestAccess::Edit(head) => head.header(name),
                    RequestAccess::Read(head) => head.header(name),
                };
                value.map_or_else(|| of_network(*otherwise), Key::Bytes)
            }
        };
        match self.window.hit(&self.spec, key, self.scope.now()) {
            Ok(_) => Ok(Verdict::Next),
            Err(Denial::Wait(wait)) => self.deny(Duration::from_millis(wait)),
            Err(Denial::Never | Denial::TooMany) => {
                unreachable!("one event is within every limit, and reserves nothing")
            }
        }
    }
}
