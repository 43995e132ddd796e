//! Resolves `match` of a route.

use pace_wire::request::{Rules, Underscores};

use crate::problem::Fault;
use crate::raw::routes as written;
use crate::resolve::Resolver;
use crate::shape::{Place, Placed, Table};
use crate::types::HeaderName;
use crate::types::route::{HostMatch, Match, PathMatch};
use crate::warning::Warning;
use crate::written::looks_like_a_pattern;

/// The conditions of a route. `None` has been reported.
pub(super) fn resolve(
    table: &Table<written::Match>,
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Option<Match> {
    let said = &table.value;
    let path = path(said, rules, resolver);
    let matching = Match {
        host: said.host.as_ref().map_or(HostMatch::Any, |host| host.0.clone()),
        methods: methods(said, resolver),
        headers: headers(said, rules, resolver),
        query: query(said),
        path: path?,
    };
    Some(matching)
}

fn path(said: &written::Match, rules: Rules, resolver: &mut Resolver<'_>) -> Option<PathMatch> {
    let (exact, regex, prefix) = (&said.path, &said.path_regex, &said.path_prefix);
    let places: [Option<&Place>; 3] = [
        exact.as_ref().map(|path| &path.place),
        regex.as_ref().map(|regex| &regex.place),
        prefix.as_ref().map(|path| &path.place),
    ];
    if let Some(second) = places.into_iter().flatten().nth(1) {
        let fault = "a route has one of `path`, `path_regex` and `path_prefix`: each says which paths";
        resolver.report(second, Fault::Refused(fault.to_owned()));
        return None;
    }
    for path in [exact, prefix].into_iter().flatten() {
        if looks_like_a_pattern(&path.value.0) {
            let line = resolver.document().line(&path.place).unwrap_or_default();
            resolver.remark(Warning::NoPattern {
                path: path.value.0.clone(),
                line,
            });
        }
    }
    match (exact, regex, prefix) {
        (Some(path), _, _) => resolver
            .path(&path.value.0, rules, &path.place)
            .map(PathMatch::Exact),
        (_, Some(regex), _) => Some(PathMatch::Regex(regex.value.0.clone())),
        (_, _, Some(path)) => resolver
            .path(&path.value.0, rules, &path.place)
            .map(PathMatch::Prefix),
        (None, None, None) => Some(PathMatch::Prefix("/".to_owned())),
    }
}

fn methods(said: &written::Match, resolver: &mut Resolver<'_>) -> Vec<String> {
    let Some(Placed { value: list, place }) = &said.methods else {
        return Vec::new();
    };
    if list.is_empty() {
        let fault = "it needs at least one method; leave it out for all";
        resolver.report(place, Fault::Refused(fault.to_owned()));
    }
    let mut methods: Vec<String> = list.iter().map(|method| method.0.clone()).collect();
    if methods.iter().any(|method| method == "GET") {
        // A server that has one has the other (RFC 9110, section 9.1).
        methods.push("HEAD".to_owned());
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

fn headers(said: &written::Match, rules: Rules, resolver: &mut Resolver<'_>) -> Vec<(HeaderName, String)> {
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    for (name, value) in &said.headers.0 {
        let name = &name.0;
        let fault = if headers.iter().any(|(known, _)| known == name) {
            Some(format!(
                "`{}` is there already, in another spelling",
                name.as_str()
            ))
        } else {
            never_there(name.as_str(), rules)
        };
        if let Some(fault) = fault {
            resolver.report(&value.place, Fault::Refused(fault));
        }
        headers.push((name.clone(), value.value.0.clone()));
    }
    headers.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    headers
}

/// The reason why no request has a field of this name; `None` if one may.
pub(crate) fn never_there(name: &str, rules: Rules) -> Option<String> {
    let is_kept = !name.contains('_') || rules.underscores == Underscores::Pass;
    (!is_kept).then(|| {
        format!(
            "no request has the field `{name}`: fields with an underscore are dropped or refused, as `[server] underscores` \
             says"
        )
    })
}

fn query(said: &written::Match) -> Vec<(String, String)> {
    let pairs = said.query.0.iter();
    let mut query: Vec<_> = pairs.map(|(key, value)| (key.0.clone(), value.clone())).collect();
    query.sort_unstable();
    query
}
