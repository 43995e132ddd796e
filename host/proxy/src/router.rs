//! The router finds the route of a request: the first whose conditions hold, in the order of their [precedence].
//!
//! Routes are looked up by host, then by path, and only those that are left are compared with the rest of the request. A
//! request is not compared with routes for other hosts, nor with prefixes that are not its own.
//!
//! [precedence]: pace_config::route::Match::precedence

mod conditions;
mod paths;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use pace_config::route::{HostMatch, Match};
use pace_wire::authority;
use pace_wire::request::RequestHead;

pub use self::conditions::{Mismatch, mismatch};
use self::conditions::{WantedPath, holds_behind_path, holds_but_for_method};
use self::paths::Paths;

/// Routes by host and path. `T` is the target of a route.
pub struct Router<T> {
    hosts: HashMap<String, Paths<T>, RandomState>,
    /// Routes for the names below a name, by that.
    domains: HashMap<String, Paths<T>, RandomState>,
    any_host: Paths<T>,
}

impl<T> Router<T> {
    /// A router of these routes. Of two with the same precedence, the first goes first.
    pub fn new(routes: impl IntoIterator<Item = (Match, T)>) -> Router<T> {
        let mut router = Router {
            hosts: HashMap::default(),
            domains: HashMap::default(),
            any_host: Paths::default(),
        };
        for (matching, target) in routes {
            let paths = match &matching.host {
                HostMatch::Exact(host) => router.hosts.entry(host.clone()).or_default(),
                HostMatch::Below(domain) => router.domains.entry(domain.clone()).or_default(),
                HostMatch::Any => &mut router.any_host,
            };
            paths.add(matching, target);
        }
        let of_hosts = router.hosts.values_mut().chain(router.domains.values_mut());
        of_hosts.chain([&mut router.any_host]).for_each(Paths::build);
        router
    }

    /// The route of a request.
    pub fn find(&self, request: &RequestHead) -> Option<&T> {
        self.first(request, &mut |matching| holds_behind_path(matching, request))
    }

    /// The methods with which a request that has no route would have one, sorted. None if it would have none with any.
    pub fn allowed(&self, request: &RequestHead) -> Vec<&str> {
        let mut allowed: Vec<&str> = Vec::new();
        self.first(request, &mut |matching| {
            if holds_but_for_method(matching, request) {
                allowed.extend(matching.methods.iter().map(String::as_str));
            }
            false
        });
        allowed.sort_unstable();
        allowed.dedup();
        allowed
    }

    /// The first route for the host and the path of a request for which `holds` is true. It is asked in the order in which
    /// routes are tried.
    fn first<'r>(
        &'r self,
        request: &RequestHead,
        holds: &mut impl FnMut(&'r Match) -> bool,
    ) -> Option<&'r T> {
        let path = WantedPath::of(request);
        self.of_host(request, |paths| paths.first(&path, holds))
            .or_else(|| self.any_host.first(&path, holds))
    }

    /// Calls `find` with the routes for the host of a request, then with those for the names below its domains, the longest
    /// first, until it finds one.
    fn of_host<'r>(
        &'r self,
        request: &RequestHead,
        mut find: impl FnMut(&'r Paths<T>) -> Option<&'r T>,
    ) -> Option<&'r T> {
        if self.hosts.is_empty() && self.domains.is_empty() {
            return None;
        }
        let host = lower_case(authority::host(request.authority()?));
        let found = self.hosts.get(&*host).and_then(&mut find);
        if found.is_some() || self.domains.is_empty() {
            return found;
        }
        let mut domain = &*host;
        while let Some(dot) = domain.find('.') {
            domain = &domain[dot + 1..];
            let found = self.domains.get(domain).and_then(&mut find);
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn lower_case(host: &str) -> Cow<'_, str> {
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}
