//! Sets, adds and removes headers, and names the proxy and the backend that served.
//!
//! | key | | default |
//! |---|---|---|
//! | `identify` | `X-Proxy: pace` for backend and client, `X-Backend: ADDRESS` for the client | `true` |
//! | `request` | edits of the request to the backend | none |
//! | `response` | edits of the response to the client | none |
//!
//! Each of the two tables has these keys, whose edits are done in this order:
//!
//! | key | |
//! |---|---|
//! | `remove` | a list of names: all their values are removed |
//! | `set` | a table: the header has this value and no other |
//! | `add` | a table: the header has this value, or each of this list, in addition to its present ones |
//!
//! ```toml
//! [plugins.config.response]
//! remove = ["server"]
//! set = { x-env = "prod" }
//! add = { vary = ["accept", "cookie"] }
//! ```
//!
//! `identify` comes first, so the edits can replace what it sets. Headers that belong to the connection
//! cannot be named, see [`pace_plugin::EditError::Forbidden`].

#![forbid(unsafe_code)]

// Public for programs that run the policy without the sandbox, to measure the sandbox's cost.
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod policy;

use pace_plugin::{EditError, Plugin, Request, RequestFilter, Response, ResponseFilter, Verdict, warn};

use config::Config;
use policy::{Edits, Headers};

struct HeaderInjection {
    identify: bool,
    request: Edits,
    response: Edits,
}

impl Plugin for HeaderInjection {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self {
            identify: config.identify,
            request: config.request.0,
            response: config.response.0,
        })
    }
}

impl RequestFilter for HeaderInjection {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        if self.identify {
            report(request.set_header("X-Proxy", "pace"));
        }
        self.request.apply(request, report);
        Verdict::Next
    }
}

impl ResponseFilter for HeaderInjection {
    fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
        if self.identify {
            report(response.set_header("X-Proxy", "pace"));
            if let Some(backend) = response.backend() {
                report(response.set_header("X-Backend", backend));
            }
        }
        self.response.apply(response, report);
        Verdict::Next
    }
}

/// Logs a refused edit. Names and values were checked before, so an edit can only be refused because the
/// message has become too large, which is no reason to refuse the message.
fn report(edit: Result<(), EditError>) {
    if let Err(error) = edit {
        warn!("a header was left out: {error}");
    }
}

/// Implements the headers of a request or a response, which have the same functions.
macro_rules! has_headers {
    ($($message:ty),+) => {$(
        impl Headers for $message {
            fn set(&mut self, name: &str, value: &str) -> Result<(), EditError> {
                self.set_header(name, value)
            }

            fn add(&mut self, name: &str, value: &str) -> Result<(), EditError> {
                self.append_header(name, value)
            }

            fn remove(&mut self, name: &str) -> Result<(), EditError> {
                self.remove_header(name).map(drop)
            }
        }
    )+};
}

has_headers!(Request, Response);

pace_plugin::export!(HeaderInjection: RequestFilter, ResponseFilter);
