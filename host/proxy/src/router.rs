//! The router finds the route of a request: by the most specific host, then by the longest path prefix.

use std::collections::HashMap;

use pace_wire::authority::host;
use pace_wire::path;

/// Routes by host and path. `T` is the target of a route.
pub struct Router<T> {
    by_host: HashMap<String, Prefixes<T>, foldhash::fast::RandomState>,
    any_host: Prefixes<T>,
}

/// The path prefixes of a host with their targets, longest first.
struct Prefixes<T>(Vec<(String, T)>);

impl<T> Router<T> {
    /// A router of `(host, path prefix, target)`. Hosts are lower case and without port, and `None` means any host;
    /// prefixes are in the spelling of paths, and a pair of host and prefix occurs once.
    pub fn new(routes: impl IntoIterator<Item = (Option<String>, String, T)>) -> Router<T> {
        let mut router = Router {
            by_host: HashMap::default(),
            any_host: Prefixes(Vec::new()),
        };
        for (host, prefix, target) in routes {
            let prefixes = match host {
                Some(host) => router.by_host.entry(host).or_insert(Prefixes(Vec::new())),
                None => &mut router.any_host,
            };
            prefixes.0.push((prefix, target));
        }
        for prefixes in router.by_host.values_mut().chain([&mut router.any_host]) {
            prefixes
                .0
                .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        router
    }

    /// The route for an authority (as sent: any case, with or without port) and a path in its
    /// [one spelling](pace_wire::path).
    ///
    /// A host whose routes do not have the path falls back to the routes for any host. `authority` is called only if
    /// there are routes for hosts.
    pub fn find<'a>(&self, authority: impl FnOnce() -> Option<&'a str>, path: &str) -> Option<&T> {
        self.of_host(authority)
            .and_then(|prefixes| prefixes.find(path))
            .or_else(|| self.any_host.find(path))
    }

    fn of_host<'a>(&self, authority: impl FnOnce() -> Option<&'a str>) -> Option<&Prefixes<T>> {
        if self.by_host.is_empty() {
            return None;
        }
        let host = host(authority()?);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.by_host.get(host.to_ascii_lowercase().as_str())
        } else {
            self.by_host.get(host)
        }
    }
}

impl<T> Prefixes<T> {
    fn find(&self, path: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(prefix, _)| path::below(path, prefix))
            .map(|(_, target)| target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Router<usize> {
        Router::new(routes.iter().enumerate().map(|(target, (host, prefix))| {
            let host = (*host != "*").then(|| (*host).to_owned());
            (host, (*prefix).to_owned(), target)
        }))
    }

    #[test]
    fn find_prefers_the_host_and_then_the_longest_prefix_in_any_order() {
        let router = router(&[("*", "/"), ("a.test", "/"), ("a.test", "/v1"), ("*", "/v1/deep")]);
        assert_eq!(router.find(|| Some("a.test"), "/v1/deep"), Some(&2));
        assert_eq!(router.find(|| Some("A.Test:8080"), "/other"), Some(&1));
        assert_eq!(router.find(|| Some("b.test"), "/v1/deep/er"), Some(&3));
        assert_eq!(router.find(|| None, "/x"), Some(&0));
    }

    #[test]
    fn prefix_matches_whole_segments_only() {
        let router = router(&[("*", "/v1")]);
        assert_eq!(router.find(|| None, "/v1"), Some(&0));
        assert_eq!(router.find(|| None, "/v1/"), Some(&0));
        assert_eq!(router.find(|| None, "/v10"), None);
    }

    #[test]
    fn host_without_the_path_falls_back_to_any_host() {
        let router = router(&[("a.test", "/v1"), ("*", "/")]);
        assert_eq!(router.find(|| Some("a.test."), "/other"), Some(&1));
    }
}
