//! Routes: the requests that each is for, and where these go.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use pace_wire::path::{self, EncodedSlashes};
use pace_wire::refusal::Refusal;
use pace_wire::rewrite::PathRewrite;
use pace_wire::target::Target;

use super::{HeaderName, PluginUse};
use crate::effective::shown_value;
use crate::path_regex::PathRegex;
use crate::redirect_url::RedirectUrl;

/// One entry of `[[routes]]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// The given name, or host and path: `api.example.com/v1`, `*/`. Unique.
    pub name: String,
    /// The requests that the route is for.
    pub matching: Match,
    /// The most bytes of a body; `None`: any number.
    pub body_limit: Option<u64>,
    /// The changes of requests on their way to a backend.
    pub rewrite: Rewrite,
    /// The fate of requests that the request filters have let pass.
    pub action: Action,
    /// Plugins in the order in which request filters run. None twice.
    pub plugins: Vec<PluginUse>,
}

/// The fate of a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The requests are sent to a backend.
    Forward(Forward),
    /// The clients are sent elsewhere.
    Redirect(Redirect),
    /// The clients get this answer.
    Respond(Respond),
}

/// Where requests are sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Forward {
    /// The pools with their shares. One at least, none twice, and one of the weights is not 0.
    pub pools: Vec<PoolShare>,
    /// The property that requests to one pool share; `None`: each request is for itself. Only with several pools.
    pub split_by: Option<SplitBy>,
    /// Limits of time in place of the pool's.
    pub timeouts: Timeouts,
    /// Where copies of requests go.
    pub mirror: Option<Mirror>,
}

/// `mirror` of a route: a share of its requests is copied to another pool, whose responses nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirror {
    /// Index into [`Config::pools`](crate::Config::pools). None of the route's own.
    pub pool: usize,
    /// How many requests are copied of [`SHARE_OF_ALL`], 1 to all.
    pub share: u32,
    /// The most copies that are on their way at once.
    pub max_in_flight: u32,
}

/// The share of a mirror that copies every request: it is counted in thousandths of a percent.
pub const SHARE_OF_ALL: u32 = 100_000;

/// A pool with its share of a route's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShare {
    /// Index into [`Config::pools`](crate::Config::pools).
    pub pool: usize,
    /// The share relative to the others, 0 to 65535.
    pub weight: u32,
}

/// A property of requests; those with the same value go to the same pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitBy {
    /// The client's address.
    Client,
    /// The value of this cookie.
    Cookie(String),
    /// The value of this field.
    Header(HeaderName),
}

/// `rewrite` of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewrite {
    /// The change of the path.
    pub path: Option<PathRewrite>,
    /// The host in place of the one that the client asks for, with an optional port.
    pub host: Option<String>,
}

impl Rewrite {
    /// The target in place of a request's.
    ///
    /// # Errors
    ///
    /// As for [`PathRewrite::apply`].
    pub fn target<'t>(
        &self,
        target: &'t Target,
        slashes: EncodedSlashes,
    ) -> Result<Cow<'t, Target>, Refusal> {
        Ok(match &self.path {
            None => Cow::Borrowed(target),
            Some(path) => Cow::Owned(path.apply(target, slashes)?.target),
        })
    }
}

/// `timeouts` of a route; `None`: the pool's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest time from a request's head to the end of its response, up to a day; `Some(None)`: no limit.
    pub total: Option<Option<Duration>>,
    /// The longest wait for the response's head after the request has been sent, 1 ms to a day.
    pub first_byte: Option<Duration>,
}

/// `redirect` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The URL.
    pub to: RedirectUrl,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// `respond` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Respond {
    /// The status, 200 to 599.
    pub status: u16,
    /// A text, which is empty where the status allows none.
    pub body: String,
}

/// The conditions of a route, all of which must hold for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Match {
    /// The host that is asked for.
    pub host: HostMatch,
    /// The path.
    pub path: PathMatch,
    /// The methods, sorted; none: any. With GET there is HEAD.
    pub methods: Vec<String>,
    /// Fields with their values, of which each must be there. Sorted; no name twice.
    pub headers: Vec<(HeaderName, String)>,
    /// Decoded keys of the query with their values, of which each must be there. Sorted; no key twice.
    pub query: Vec<(String, String)>,
}

/// The hosts of a route: in lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// Every host, and requests that name none.
    Any,
    /// The names below this one: `example.com` for `*.example.com`.
    Below(String),
    /// This host.
    Exact(String),
}

/// The paths of a route, in the spelling of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// The paths in which an expression is found.
    Regex(PathRegex),
    /// The paths at or below this one.
    Prefix(String),
}

/// The place of a route among others: the least is tried first. Of equal ones, the first in the file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    host: (u8, Reverse<usize>, &'a str),
    path: (u8, Reverse<usize>, &'a str),
    methods: usize,
    headers: Reverse<usize>,
    query: Reverse<usize>,
}

impl Route {
    /// The pools that requests of the route may be sent to.
    pub fn pools(&self) -> impl Iterator<Item = usize> {
        let shares = self.forward().map_or(&[][..], |forward| &forward.pools);
        shares.iter().map(|share| share.pool)
    }

    /// Where copies of its requests go, if they do.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.forward()?.mirror.as_ref()
    }

    fn forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }
}

impl Match {
    /// The place among other routes. A host goes before a wildcard, and the longer wildcard before the shorter; then a path
    /// before an expression, and that before a prefix, the longest first; then few methods before many; then the more
    /// fields, and the more keys of the query.
    pub fn precedence(&self) -> Precedence<'_> {
        let any = usize::MAX;
        Precedence {
            host: match &self.host {
                HostMatch::Exact(host) => (0, Reverse(0), host),
                HostMatch::Below(domain) => (1, Reverse(domain.len()), domain),
                HostMatch::Any => (2, Reverse(0), ""),
            },
            path: match &self.path {
                PathMatch::Exact(path) => (0, Reverse(path.len()), path),
                PathMatch::Regex(_) => (1, Reverse(0), ""),
                PathMatch::Prefix(prefix) => (2, Reverse(prefix.len()), prefix),
            },
            methods: Some(self.methods.len()).filter(|count| *count > 0).unwrap_or(any),
            headers: Reverse(self.headers.len()),
            query: Reverse(self.query.len()),
        }
    }

    /// Whether every request that `other` is for is certain to be one of these, too.
    pub fn covers(&self, other: &Match) -> bool {
        let path = match (&self.path, &other.path) {
            (PathMatch::Regex(every), _) if every.matches_every_path() => true,
            (PathMatch::Prefix(prefix), PathMatch::Exact(path) | PathMatch::Prefix(path)) => {
                path::below(path, prefix)
            }
            (ours, theirs) => ours == theirs,
        };
        path && self.host.covers(&other.host)
            && (self.methods.is_empty()
                || (!other.methods.is_empty()
                    && other.methods.iter().all(|method| self.methods.contains(method))))
            && self.headers.iter().all(|pair| other.headers.contains(pair))
            && self.query.iter().all(|pair| other.query.contains(pair))
    }
}

impl HostMatch {
    /// Whether a host, in lower case and without port, is one of these. `None` is that of a request that names none.
    pub fn matches(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (HostMatch::Any, _) => true,
            (_, None) => false,
            (HostMatch::Below(domain), Some(host)) => is_below(host, domain),
            (HostMatch::Exact(exact), Some(host)) => host == exact,
        }
    }

    fn covers(&self, other: &HostMatch) -> bool {
        match (self, other) {
            (HostMatch::Any, _) => true,
            (HostMatch::Below(domain), HostMatch::Below(name)) => name == domain || is_below(name, domain),
            (HostMatch::Below(domain), HostMatch::Exact(name)) => is_below(name, domain),
            (ours, theirs) => ours == theirs,
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let labels = name.strip_suffix(domain);
    labels.is_some_and(|labels| labels.ends_with('.'))
}

impl PathMatch {
    /// Whether a path in its one spelling is one of these.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathMatch::Exact(exact) => path == exact,
            PathMatch::Regex(regex) => regex.is_match(path),
            PathMatch::Prefix(prefix) => path::below(path, prefix),
        }
    }
}

impl fmt::Display for HostMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostMatch::Any => out.write_str("*"),
            HostMatch::Below(domain) => write!(out, "*.{domain}"),
            HostMatch::Exact(host) => out.write_str(host),
        }
    }
}

/// Host and path in the notation of names, then the other conditions, without the values of what has the name of a secret.
impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(out, |name, value| Cow::Owned(shown_value(name, value)))
    }
}

impl Match {
    /// A text that another match has only if it takes the same requests. It has secrets in it and is not to be shown.
    pub(crate) fn identity(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text, |_, value| Cow::Borrowed(value));
        written.expect("a text takes everything");
        text
    }

    fn write(
        &self,
        out: &mut impl fmt::Write,
        shown: impl for<'v> Fn(&str, &'v str) -> Cow<'v, str>,
    ) -> fmt::Result {
        match &self.path {
            PathMatch::Exact(path) => write!(out, "{}{path} and nothing below", self.host)?,
            PathMatch::Regex(regex) => write!(out, "{} with paths like {}", self.host, regex.as_str())?,
            PathMatch::Prefix(prefix) => write!(out, "{}{prefix}", self.host)?,
        }
        if !self.methods.is_empty() {
            write!(out, ", {}", self.methods.join(" or "))?;
        }
        for (name, value) in &self.headers {
            write!(out, ", {}: {}", name.as_str(), shown(name.as_str(), value))?;
        }
        for (key, value) in &self.query {
            write!(out, ", ?{key}={}", shown(key, value))?;
        }
        Ok(())
    }
}
