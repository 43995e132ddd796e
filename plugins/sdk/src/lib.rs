//! Everything a Rust plugin for the Pace proxy needs.
//!
//! A plugin is a type. [`Plugin::configure`] makes it from the operator's configuration, the hook traits
//! define its work on requests, and [`export!`] turns it into a WebAssembly component:
//!
//! ```
//! use pace_plugin::{Plugin, Reply, Request, RequestFilter, Verdict};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     key: String,
//! }
//!
//! /// Lets only those in who know the key.
//! struct ApiKey {
//!     key: String,
//! }
//!
//! impl Plugin for ApiKey {
//!     type Config = Config;
//!
//!     fn configure(config: Config) -> Result<Self, String> {
//!         if config.key.is_empty() {
//!             return Err("key: must not be empty".into());
//!         }
//!         Ok(ApiKey { key: config.key })
//!     }
//! }
//!
//! impl RequestFilter for ApiKey {
//!     fn request_filter(&mut self, request: &mut Request) -> Verdict {
//!         match request.header("x-api-key") {
//!             Some(key) if key == self.key.as_bytes() => Verdict::Next,
//!             _ => Reply::new(401).body("This needs an API key.\n").into(),
//!         }
//!     }
//! }
//!
//! pace_plugin::export!(ApiKey: RequestFilter);
//! # fn main() {}
//! ```
//!
//! ```text
//!  operator's TOML ──▶ Plugin::configure ─┐          (once in every instance)
//!                                         ▼
//!  request ──▶ RequestFilter ──▶ SelectUpstream ──▶ backend      (the whole way has nine hooks)
//!                  │ Reply           │ Reply           │
//!  client  ◀───────┴─ ResponseFilter ┴◀────────────────┘
//! ```
//!
//! | you want to | use |
//! |---|---|
//! | look at a request, change it or answer it | [`RequestFilter`], [`Request`], [`Reply`] |
//! | know who has shown a certificate | [`Request::client_certificate`], [`ClientCertificate`] |
//! | look at a request's body, change it, or let it decide | [`RequestBodyFilter`], [`Content`], [`Json`] |
//! | try elsewhere when a backend fails, or change what one attempt sends | [`AttemptFilter`], [`Attempt`], [`Judgement`] |
//! | choose the backend | [`SelectUpstream`], [`Upstreams`] |
//! | look at a response, change or replace it | [`ResponseFilter`], [`Response`] |
//! | look at a response's body, or change it | [`ResponseBodyFilter`], [`Content`] |
//! | look at a body while it passes, line by line or event by event | [`RequestStreamFilter`], [`ResponseStreamFilter`], [`Unit`] |
//! | know how a request went, once it is over | [`Finished`], [`Outcome`] |
//! | leave a fact for a later hook | [`context`] |
//! | count over all workers | [`Counter`], [`Window`] |
//! | keep a value under a key for all workers, for a time | [`Table`] |
//! | count in Pace's metrics | [`metrics`] |
//! | sign or verify with a secret, or compare with it | [`secrets`] |
//! | take random numbers | [`random`] |
//! | write to Pace's log | [`info!`], [`warn!`] and the others, [`log`] |
//! | add a field to the request's line and span | [`log::annotate`] |
//! | know the time | [`clock`] |
//! | take more than texts from the configuration | [`HeaderName`], [`HeaderValue`], [`Integer`], [`Network`], [`PathPrefix`] |
//!
//! # State
//!
//! Pace makes at least one instance of a plugin per worker thread, hands it one request after another, and
//! drops it whenever it must: after a panic, at a swap. So a field of your type is a cache of one worker.
//! Data that must be right over all workers, or outlive an instance, belongs into a [`Counter`], a [`Window`]
//! or a [`Table`].
//!
//! # Panics
//!
//! A panic ends the hook and the instance, never the proxy: Pace writes the message with file and line to its
//! log, answers this one request as the operator's `on_failure` says, and makes a new instance for the next.
//!
//! # Building
//!
//! `pace plugin new` creates a project, with a copy of this crate in `vendor/`, since it is in no registry. A
//! plugin is a `cdylib`, built for `wasm32-unknown-unknown`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! pace-plugin = { path = "vendor/pace-plugin" }
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! ```text
//! cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! The resulting `.wasm` can be named in Pace's configuration as it is. The crate compiles and links for any
//! other target as well, so `cargo test` works for all code that does not call the host; a call of the host
//! aborts there.
//!
//! If you would rather not depend on `serde` yourself, derive through this crate's copy:
//!
//! ```
//! #[derive(pace_plugin::serde::Deserialize)]
//! #[serde(crate = "pace_plugin::serde", deny_unknown_fields)]
//! struct Config {
//!     key: String,
//! }
//! # fn main() {}
//! ```

mod attempt;
mod bindings;
mod certificate;
pub mod clock;
mod config;
mod content;
pub mod context;
mod cookie;
mod counter;
mod credentials;
mod export;
pub mod header;
mod integer;
pub mod log;
pub mod metrics;
mod network;
mod outcome;
mod path;
mod plugin;
pub mod random;
mod reply;
mod request;
mod response;
pub mod secrets;
mod stream;
mod table;
mod upstreams;
mod window;

pub use attempt::Attempt;
pub use certificate::ClientCertificate;
pub use config::{NoConfig, parse_config};
pub use content::{Content, DigestError, Form, Hash, Json, JsonError, SetJsonError};
pub use counter::{Counter, OpenError};
pub use header::{EditError, Header, HeaderName, HeaderValue};
pub use integer::Integer;
pub use network::Network;
pub use outcome::{Ending, Outcome};
pub use path::PathPrefix;
pub use plugin::{
    AttemptFilter, Finished, Judgement, Plugin, RequestBodyFilter, RequestFilter, ResponseBodyFilter,
    ResponseFilter, SelectUpstream, Selection, Verdict,
};
pub use reply::Reply;
pub use request::Request;
pub use response::Response;
pub use serde;
pub use stream::{Framing, Opening, RequestStreamFilter, ResponseStreamFilter, Step, Unit};
pub use table::{Claimed, Swapped, Table, TableError};
pub use upstreams::{Failure, Health, Upstreams};
pub use window::{Denial, Full, Key, Standing, Window};

/// For the code that [`export!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    use crate::bindings;

    pub use crate::export::stream::{
        Held, Parts, end_of_request, end_of_response, next_of_request, next_of_response, open_request,
        open_response,
    };
    pub use crate::export::{Configured, Instance, configure};
    pub use crate::export::{finished, request_filter, response_filter, select_upstream};
    pub use crate::export::{judge, prepare, request_body_filter, response_body_filter};
    pub use bindings::attempt_filter::exports::pace::plugin::attempt_filter::{
        Guest as AttemptFilterGuest, Judgement as GuestJudgement,
    };
    pub use bindings::finished::exports::pace::plugin::finished::Guest as FinishedGuest;
    pub use bindings::imports::pace::plugin::outcome::Ending as GuestEnding;
    pub use bindings::imports::pace::plugin::streams::Step as GuestStep;
    pub use bindings::lifecycle::exports::pace::plugin::lifecycle::Guest as LifecycleGuest;
    pub use bindings::request_body_filter::exports::pace::plugin::request_body_filter::Guest as RequestBodyFilterGuest;
    pub use bindings::request_filter::exports::pace::plugin::request_filter::Guest as RequestFilterGuest;
    pub use bindings::request_stream_filter::exports::pace::plugin::request_stream_filter::{
        Guest as RequestStreamFilterGuest, GuestRequestMessage as RequestMessageGuest,
        Opening as RequestOpening, RequestMessage as RequestMessageHandle,
    };
    pub use bindings::response_body_filter::exports::pace::plugin::response_body_filter::Guest as ResponseBodyFilterGuest;
    pub use bindings::response_filter::exports::pace::plugin::response_filter::Guest as ResponseFilterGuest;
    pub use bindings::response_stream_filter::exports::pace::plugin::response_stream_filter::{
        Guest as ResponseStreamFilterGuest, GuestResponseMessage as ResponseMessageGuest,
        Opening as ResponseOpening, ResponseMessage as ResponseMessageHandle,
    };
    pub use bindings::select_upstream::exports::pace::plugin::select_upstream::{
        Guest as SelectUpstreamGuest, Selection as GuestSelection,
    };
    /// The output of `wit-bindgen` for the contract.
    pub mod generated {
        pub use crate::bindings::{
            attempt_filter, finished, lifecycle, request_body_filter, request_filter, request_stream_filter,
            response_body_filter, response_filter, response_stream_filter, select_upstream,
        };
    }
}
