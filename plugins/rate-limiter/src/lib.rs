//! Limits how many requests a client makes in a sliding window.
//!
//! | key | | default |
//! |---|---|---|
//! | `max_requests` | how many requests a client may make in the window, 1 to 4294967295 | 100 |
//! | `window_seconds` | how long a request counts, in whole seconds, 1 to 604800 (a week) | 60 |
//! | `key` | what identifies a client: `"client_ip"`, or `"header:NAME"` for a header's value | `"client_ip"` |
//! | `ipv4_prefix` | how many leading bits of an IPv4 address identify a client, 0 to 32 | 32 |
//! | `ipv6_prefix` | the same for IPv6, 0 to 128 | 64 |
//!
//! The window is Pace's: it is exact, shared by all workers, and survives a swap of this plugin. A denied
//! request does not count, so a client that keeps asking is admitted again as soon as its oldest request has
//! left the window. Denied requests are answered with a 429 that says when that is.
//!
//! With `key = "header:NAME"`, requests without that header count for the client's network. A client that can
//! invent values has as many limits as it likes, so use a header that a proxy in front has verified.

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod policy;

use pace_plugin::{Key, Plugin, Request, RequestFilter, Verdict, Window};

use policy::{Client, Config, Limit};

struct RateLimiter {
    limit: Limit,
    window: Window,
}

impl Plugin for RateLimiter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let limit = Limit::from(config);
        let window = Window::open("requests", limit.max_requests, limit.window)?;
        Ok(Self { limit, window })
    }
}

impl RequestFilter for RateLimiter {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let hit = match &self.limit.client {
            Client::Address => self.window.hit(Key::ClientAddress),
            Client::Network(network) => self.window.hit((*network).into()),
            Client::Header { name, otherwise } => match request.header(name) {
                Some(value) => self.window.hit(Key::Bytes(&value)),
                None => self.window.hit((*otherwise).into()),
            },
        };
        match hit {
            Ok(_) => Verdict::Next,
            Err(full) => self.limit.deny(full).into(),
        }
    }
}

pace_plugin::export!(RateLimiter: RequestFilter);
