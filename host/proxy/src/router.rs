//! Which route a request takes: the most specific host, then the longest path prefix.

use std::collections::HashMap;

use pace_wire::authority::host;
use pace_wire::path;

/// Routes by host and path. `T` is what a route leads to.
pub struct Router<T> {
    by_host: HashMap<String, Prefixes<T>, foldhash::fast::RandomState>,
    any_host: Prefixes<T>,
}

/// Longest first.
struct Prefixes<T>(Vec<(String, T)>);

impl<T> Router<T> {
    /// A router of `(host, path prefix, target)`. Hosts are lower case and without port, no host means any; prefixes are
    /// in the spelling of paths, and a pair of host and prefix occurs once.
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
    /// A host that has routes, none of which has the path, falls back to the routes for any host.
    /// The authority is asked for only if there are routes for hosts.
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
    fn host_first_then_the_longest_prefix_whatever_the_order() {
        let router = router(&[("*", "/"), ("a.test", "/"), ("a.test", "/v1"), ("*", "/v1/deep")]);
        assert_eq!(router.find(|| Some("a.test"), "/v1/deep"), Some(&2));
        assert_eq!(router.find(|| Some("A.Test:8080"), "/other"), Some(&1));
        assert_eq!(router.find(|| Some("b.test"), "/v1/deep/er"), Some(&3));
        assert_eq!(router.find(|| None, "/x"), Some(&0));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let router = router(&[("*", "/v1")]);
        assert_eq!(router.find(|| None, "/v1"), Some(&0));
        assert_eq!(router.find(|| None, "/v1/"), Some(&0));
        assert_eq!(router.find(|| None, "/v10"), None);
    }

    #[test]
    fn a_host_without_the_path_falls_back_to_any_host() {
        let router = router(&[("a.test", "/v1"), ("*", "/")]);
        assert_eq!(router.find(|| Some("a.test."), "/other"), Some(&1));
    }
}
