//! Resolves `rewrite` of a route.

use pace_wire::path;
use pace_wire::request::Rules;
use pace_wire::rewrite::PathRewrite;

use crate::problem::Fault;
use crate::raw::routes as written;
use crate::resolve::Resolver;
use crate::scalar::UrlPath;
use crate::shape::Placed;
use crate::types::route::{Match, PathMatch, Rewrite};

/// The rewrites of a route. `None` has been reported.
pub(super) fn resolve(
    entry: &written::Route,
    matching: Option<&Match>,
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Option<Rewrite> {
    let Some(table) = &entry.rewrite else {
        return Some(Rewrite::default());
    };
    if entry.respond.is_some() {
        let fault = "the route has one answer, whatever the path: nothing is rewritten";
        resolver.report(&table.place, Fault::Refused(fault.to_owned()));
    }
    let said = &table.value;
    let mut prefix = |written: &Option<Placed<UrlPath>>| match written {
        None => Some(String::new()),
        Some(written) => {
            let prefix = resolver.path(&written.value.0, rules, &written.place)?;
            if prefix == "/" {
                let fault = "\"/\" is no prefix: every path begins with it";
                resolver.report(&written.place, Fault::Refused(fault.to_owned()));
            }
            Some(prefix)
        }
    };
    let (strip, add) = (prefix(&said.strip_prefix), prefix(&said.add_prefix));
    let path = PathRewrite::new(&strip?, &add?);
    if let (Some(strip), Some(matching)) = (&said.strip_prefix, matching)
        && !may_have(&matching.path, path.strip())
    {
        let fault = format!("no request of this route has a path below {}", path.strip());
        resolver.report(&strip.place, Fault::Refused(fault));
    }
    Some(Rewrite {
        path: Some(path).filter(|_| said.strip_prefix.is_some() || said.add_prefix.is_some()),
        host: said.host.as_ref().map(|host| host.0.clone()),
    })
}

/// Whether one of the paths may be at or below a prefix.
fn may_have(paths: &PathMatch, prefix: &str) -> bool {
    match paths {
        PathMatch::Exact(exact) => path::below(exact, prefix),
        PathMatch::Prefix(other) => path::below(other, prefix) || path::below(prefix, other),
        PathMatch::Regex(_) => true,
    }
}
