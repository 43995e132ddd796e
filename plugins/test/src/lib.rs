//! Test a plugin for the [Pace](https://github.com/pace-proxy/pace) proxy in code, without a proxy: its
//! `.wasm` runs as it does in Pace, with requests made by the test, and with a clock that stands still until
//! the test moves it.
//!
//! `pace plugin test` does the same from TOML files, for plugins in any language; use this where a test needs
//! a loop, a property or a computation.
//!
//! ```toml
//! [dev-dependencies]
//! pace-plugin-test = { git = "https://github.com/pace-proxy/pace" }
//! ```
//!
//! In a project of `pace plugin new` the plugin is `"plugin.wasm"`, as `pace plugin build` made it last:
//! tests run in the directory of `Cargo.toml`. The examples here are Pace's own tests, so they have the
//! default plugins, `builtin:NAME`; in other projects those are not compiled in.
//!
//! ```
//! use std::time::Duration;
//!
//! use pace_plugin_test::{Plugin, Request, Word, json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Or a file, such as "plugin.wasm".
//! let plugin = Plugin::load("builtin:rate-limiter")?;
//! let limiter = plugin.configure(json!({ "max_requests": 2, "window_seconds": 60 }))?;
//!
//! let request = || Request::get("/").from_client("192.0.2.7");
//! assert_eq!(limiter.send(request()).word, Word::Next);
//! assert_eq!(limiter.send(request()).word, Word::Next);
//!
//! let denied = limiter.send(request());
//! assert_eq!(denied.status(), Some(429));
//! assert_eq!(denied.response_header("retry-after"), Some(&b"60"[..]));
//!
//! limiter.advance(Duration::from_millis(60_060));
//! assert_eq!(limiter.send(request()).word, Word::Next);
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | load a plugin | [`Plugin::load`] |
//! | configure it | [`Plugin::configure`]; with limits, counters or a date, [`Plugin::configure_with`] |
//! | send a request through its hooks | [`Session::send`], or [`Session::exchange`] with a pool and an answer |
//! | send one of a client that has shown a certificate | [`Request::with_certificate`], [`certificate`] |
//! | call one hook | [`Session::request_filter`], [`Session::select_upstream`], [`Session::response_filter`] |
//! | put other plugins before and behind it, as on a route | [`Session::among`] |
//! | let time pass | [`Session::advance`], [`Session::set_wall`] |
//! | look at its counters | [`Session::counter`], [`Session::events`] |
//! | look at its log | [`Outcome::lines`], [`Session::take_lines`] |

#![forbid(unsafe_code)]

pub use pace_config::{Isolation, Limits};
pub use pace_harness::{
    Backend, Exchange, Line, NeighborFailure, Outcome, Pool, Request, Response, Session, Setup, SubjectError,
    WindowKey, Word, certificate,
};
pub use pace_hook::{
    AttemptFailure, ClientCertificate, Failure, FailureReason, Headers, Health, Hook, Hooks, Reply,
    Selection, Verdict,
};
pub use serde_json::json;

use pace_harness::Subject;
use serde_json::Value;

/// A plugin's file, compiled and checked against the contract.
pub struct Plugin(Subject);

impl Plugin {
    /// Loads a component, a core module that carries its component type (which is what `cargo build` makes), or
    /// `builtin:NAME` for a default plugin, in Pace's own tests.
    ///
    /// ```
    /// use pace_plugin_test::Plugin;
    ///
    /// let error = Plugin::load("nowhere.wasm").err().expect("there is no such file");
    /// assert!(error.to_string().contains("cannot read nowhere.wasm"));
    /// ```
    ///
    /// # Errors
    ///
    /// There is no such file, it does not fit the contract, or it is a default plugin and none is compiled
    /// in: the message names the fault in Pace's own words.
    pub fn load(name: &str) -> Result<Plugin, SubjectError> {
        Subject::load(name).map(Plugin)
    }

    /// The hooks that the plugin exports.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pace_plugin_test::{Hook, Plugin};
    ///
    /// let hooks = Plugin::load("builtin:round-robin")?.hooks();
    /// assert!(hooks.contains(Hook::SelectUpstream));
    /// # Ok(())
    /// # }
    /// ```
    pub fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    /// Configures the plugin, in a world of its own: counters, windows, log and time are this session's.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pace_plugin_test::{Plugin, json};
    ///
    /// let plugin = Plugin::load("builtin:rate-limiter")?;
    /// let refusal = plugin.configure(json!({ "max_request": 2 })).err().expect("there is no such key");
    /// assert!(refusal.detail.contains("unknown field `max_request`"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `configure` refused the configuration (the text is in [`Failure::detail`]) or failed.
    ///
    /// # Panics
    ///
    /// If `config` is not a JSON object: Pace passes nothing else to a plugin.
    pub fn configure(&self, config: Value) -> Result<Session, Failure> {
        let Value::Object(config) = config else {
            panic!("a plugin's configuration is an object, not {config}");
        };
        self.configure_with(&Setup {
            config,
            ..Setup::default()
        })
    }

    /// Configures the plugin as [`configure`](Plugin::configure) does, with everything that it can be run
    /// with: limits, isolation, a date, counters that have a value already.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pace_plugin_test::{Backend, Exchange, Plugin, Pool, Request, Setup};
    ///
    /// let plugin = Plugin::load("builtin:round-robin")?;
    /// let mut setup = Setup::default();
    /// setup.counters.insert("requests.test".into(), 1);
    /// let balancer = plugin.configure_with(&setup)?;
    ///
    /// let pool = Pool::new(["a:80", "b:80"].map(Backend::new));
    /// let outcome = balancer.exchange(Exchange { pool, ..Exchange::new(Request::get("/")) });
    /// assert_eq!(outcome.picked, Some(1), "it is the turn of the second");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `configure` refused the configuration or failed.
    pub fn configure_with(&self, setup: &Setup) -> Result<Session, Failure> {
        self.0.configure(setup)
    }
}
