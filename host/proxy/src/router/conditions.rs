//! Compares a request with the conditions of a route.

use std::fmt;

use pace_config::route::{HostMatch, Match, PathMatch};
use pace_config::shown_value;
use pace_wire::request::RequestHead;
use pace_wire::{authority, path, query};

use super::lower_case;

/// The path of a request in the spellings that routes are looked for.
pub(super) struct WantedPath<'a> {
    /// The path in its one spelling.
    pub(super) path: &'a str,
    /// The path without parameters, if it has any. A route for the one is a route for the other.
    pub(super) without_parameters: Option<String>,
}

impl<'a> WantedPath<'a> {
    pub(super) fn of(request: &'a RequestHead) -> WantedPath<'a> {
        let path = match request.target.path() {
            // `OPTIONS *` is about the whole server, and takes the route of its root.
            "*" => "/",
            path => path,
        };
        WantedPath {
            path,
            without_parameters: path::without_parameters(path),
        }
    }

    pub(super) fn is_one_of(&self, paths: &PathMatch) -> bool {
        paths.matches(self.path)
            || self
                .without_parameters
                .as_deref()
                .is_some_and(|path| paths.matches(path))
    }
}

/// Whether the conditions behind host and path hold.
pub(super) fn holds_behind_path(matching: &Match, request: &RequestHead) -> bool {
    has_method(matching, request) && holds_but_for_method(matching, request)
}

/// Whether the conditions behind host, path and method hold.
pub(super) fn holds_but_for_method(matching: &Match, request: &RequestHead) -> bool {
    matching
        .headers
        .iter()
        .all(|(name, value)| has_field(request, name.as_str(), value))
        && matching
            .query
            .iter()
            .all(|(key, value)| has_pair(request, key, value))
}

fn has_method(matching: &Match, request: &RequestHead) -> bool {
    let methods = &matching.methods;
    methods.is_empty() || methods.iter().any(|method| method == request.method.as_str())
}

/// Whether one of the lines of a name has exactly this value.
fn has_field(request: &RequestHead, name: &str, value: &str) -> bool {
    let mut lines = request.fields.get_all(name);
    lines.any(|found| found == value.as_bytes())
}

fn has_pair(request: &RequestHead, key: &str, value: &str) -> bool {
    let query = request.target.query();
    query.is_some_and(|query| query::has(query, key, value))
}

/// The first condition of a route that does not hold for a request. `Display` is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch<'m> {
    /// The host is another.
    Host(&'m HostMatch),
    /// The path is another.
    Path(&'m PathMatch),
    /// The method is none of these.
    Method(&'m [String]),
    /// No field of this name has this value.
    Field(&'m str, &'m str),
    /// The query has no pair of this key and this value.
    Query(&'m str, &'m str),
}

/// Compares a request with all conditions of a route, one after the other. `None` if they hold.
pub fn mismatch<'m>(matching: &'m Match, request: &RequestHead) -> Option<Mismatch<'m>> {
    let host = request.authority().map(authority::host).map(lower_case);
    if !matching.host.matches(host.as_deref()) {
        return Some(Mismatch::Host(&matching.host));
    }
    if !WantedPath::of(request).is_one_of(&matching.path) {
        return Some(Mismatch::Path(&matching.path));
    }
    if !has_method(matching, request) {
        return Some(Mismatch::Method(&matching.methods));
    }
    let mut headers = matching.headers.iter();
    if let Some((name, value)) = headers.find(|(name, value)| !has_field(request, name.as_str(), value)) {
        return Some(Mismatch::Field(name.as_str(), value));
    }
    let mut query = matching.query.iter();
    let (key, value) = query.find(|(key, value)| !has_pair(request, key, value))?;
    Some(Mismatch::Query(key, value))
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Host(HostMatch::Below(domain)) => write!(out, "the host is not below {domain}"),
            Mismatch::Host(host) => write!(out, "the host is not {host}"),
            Mismatch::Path(PathMatch::Exact(path)) => write!(out, "the path is not {path}"),
            Mismatch::Path(PathMatch::Prefix(prefix)) => write!(out, "the path is not below {prefix}"),
            Mismatch::Path(PathMatch::Regex(regex)) => {
                write!(out, "{} is not found in the path", regex.as_str())
            }
            Mismatch::Method(methods) => write!(out, "the method is not {}", methods.join(" or ")),
            Mismatch::Field(name, value) => write!(out, "no field {name} is {:?}", shown_value(name, value)),
            Mismatch::Query(key, value) => write!(out, "the query has no {key}={}", shown_value(key, value)),
        }
    }
}
