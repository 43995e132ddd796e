//! Sets, adds and removes headers, and says who served.
//!
//! | key | | default |
//! |---|---|---|
//! | `identify` | `X-Proxy: pace` for origin and client, `X-Backend: ADDRESS` for the client | `true` |
//! | `request` | edits of what the origin gets | none |
//! | `response` | edits of what the client gets | none |
//!
//! Each of the two tables has, in the order in which they are done:
//!
//! | key | |
//! |---|---|
//! | `remove` | a list of names: every value goes |
//! | `set` | a table: the header has this value and no other |
//! | `add` | a table: the header has this value, or each of this list, beside those that it has |
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

// Public for those who run the policy without the sandbox, to see what the sandbox costs.
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

/// Names and values were checked before; what is left is a message that has become too large, and that is
/// no reason to refuse it.
fn report(edit: Result<(), EditError>) {
    if let Err(error) = edit {
        warn!("a header was left out: {error}");
    }
}

/// A request and a response have the same functions.
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
