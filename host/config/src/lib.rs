//! The configuration: one TOML file, checked as a whole before anything uses it.
//!
//! The types that the operator writes and the types that the program uses differ. `raw` mirrors the file, key
//! by key; [`Config`] has every default filled in, every name replaced by an index and every address parsed,
//! and cannot be in a wrong state. The steps between them:
//!
//! ```text
//! text ── document ──▶ raw::File ── short ──▶ raw::Full ── resolve ──▶ Config
//!         syntax, keys,            [upstreams],           names, addresses,
//!         types, ranges            [rate_limit], ...      everything between two keys
//! ```
//!
//! Each step finds all the problems it can before it gives up, and [`Error`] shows them all.

mod address;
mod builtins;
mod document;
mod effective;
mod error;
mod excerpt;
mod json;
mod listeners;
mod path_regex;
mod plugins;
mod pools;
mod problem;
mod raw;
mod redirect_url;
mod resolve;
mod routes;
mod scalar;
mod shape;
mod short;
mod sinks;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod upkeep;
mod warning;
mod written;

use std::path::Path;

pub use self::address::{AdminAddress, Host, ListenAddress};
pub use self::builtins::BUILTINS;
pub use self::effective::{Effective, shown_value};
pub use self::error::Error;
pub use self::excerpt::Excerpt;
pub use self::path_regex::PathRegex;
pub use self::problem::{Fault, Location, Problem};
pub use self::redirect_url::{RedirectUrl, Redirected};
use self::resolve::Resolver;
pub use self::types::{
    Admin, Backend, BackendTls, BodyLimits, Breaker, ClientLimits, Config, ConnectionLimits, HeaderName,
    Isolation, Limits, Metrics, OnFailure, Plugin, PluginUse, Pool, PoolSettings, Protocol, Retry, RetryOn,
    Rollback, Secrets, Server, Sha256, Source,
};
pub use self::types::{listener, pool, route, telemetry};
pub use self::warning::Warning;
pub use self::written::Written;

use self::document::Document;
use pace_base::file;

/// Reading of TOML with the place of every mistake, for files that are no configuration but share parts with
/// one: the cases of a plugin.
pub mod reading {
    pub use crate::document::Document;
    pub use crate::json::{JsonTable, merge};
    pub use crate::plugins::limits;
    pub use crate::problem::suggestion;
    pub use crate::raw::Limits;
    pub use crate::scalar::{Int, Isolation, Network};
    pub use crate::shape::{OrText, Place, Placed, Shorthand, Table};
}

/// The largest file, in bytes. A thousand routes take a hundredth of it.
const MAX_SIZE: u64 = 4 << 20;

/// The options of the command line, which override the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`: replaces `[server] listen`.
    pub listen: Option<String>,
    /// `--backend`, once per backend: replaces `[upstreams] backends`. An error together with a file that
    /// defines its own pools.
    pub backends: Vec<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// Host names in it stay names: they are looked up on connecting or listening.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has more than 4 MiB, or its content is invalid. Nothing is half applied.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, Error> {
        let bytes = file::read(path, MAX_SIZE).map_err(|error| Error::read(path, error.into()))?;
        match str::from_utf8(&bytes) {
            Ok(text) => Config::parse(text, path, overrides),
            Err(error) => Err(Error::not_utf8(path, &bytes[..error.valid_up_to()])),
        }
    }

    /// Parses a text that is in memory already.
    ///
    /// `path` names it in messages, and relative plugin files are looked for in its directory.
    ///
    /// # Errors
    ///
    /// The text or the command line is invalid.
    pub fn parse(text: &str, path: &Path, overrides: &Overrides) -> Result<Config, Error> {
        build(text, Some(path), overrides)
    }

    /// The configuration of a Pace without a file: the three default plugins before the backends of the
    /// command line.
    ///
    /// # Errors
    ///
    /// There is no backend, or an address is wrong.
    pub fn from_overrides(overrides: &Overrides) -> Result<Config, Error> {
        build("", None, overrides)
    }

    /// Settings that are allowed and probably not meant.
    pub fn warnings(&self) -> Vec<Warning> {
        warning::find(self)
    }
}

fn build(text: &str, path: Option<&Path>, overrides: &Overrides) -> Result<Config, Error> {
    let document = Document::parse(path, text).map_err(Error::invalid)?;
    let file = document.decode().map_err(Error::invalid)?;
    Resolver::new(&document)
        .resolve(file, overrides)
        .map_err(Error::invalid)
}
