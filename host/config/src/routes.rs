//! Resolves `[[routes]]`: the pool and the plugins for each request.

mod action;
mod forward;
mod matching;
mod rewrite;

pub(crate) use self::matching::never_there;

use std::collections::HashSet;

use pace_wire::request::Rules;

use super::json;
use super::plugins::unique_names;
use super::problem::Fault;
use super::raw::{self, Full};
use super::resolve::{FirstSeen, Resolver};
use super::shape::{OrText, Place, Placed, Table};
use super::types::listener::Listener;
use super::types::route::{PathMatch, Route};
use super::types::{BodyLimits, Plugin, PluginUse};

/// The routes, in order, each with the place of its entry. `plugins` are those of `full`.
pub(super) fn resolve<'f>(
    full: &'f Full,
    plugins: &[Plugin],
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> (Vec<Route>, Vec<&'f Place>) {
    unique_names(
        "route",
        full.routes.iter().filter_map(|e| e.value.name.as_ref()),
        resolver,
    );
    let routes = full.routes.iter().filter_map(|Table { value, place }| {
        let route = route(value, place, full, plugins, rules, resolver)?;
        Some((route, place))
    });
    routes.unzip()
}

/// One entry. `None` has been reported.
fn route(
    entry: &raw::routes::Route,
    place: &Place,
    full: &Full,
    plugins: &[Plugin],
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Option<Route> {
    let matching = matching::resolve(&entry.matching, rules, resolver);
    let plugins = plugin_uses(&entry.plugins, plugins, resolver);
    let action = action::resolve(entry, place, full, rules, resolver);
    let rewrite = rewrite::resolve(entry, matching.as_ref(), rules, resolver);
    let matching = matching?;
    let name = match (&entry.name, &matching.path) {
        (Some(name), _) => name.value.as_str().to_owned(),
        // A name has no `/` and a path always has one, so these texts are no given names.
        (None, PathMatch::Exact(path) | PathMatch::Prefix(path)) => format!("{}{path}", matching.host),
        (None, PathMatch::Regex(_)) => {
            let fault = "a route with `path_regex` needs a `name`, by which the log calls it";
            resolver.report(place, Fault::Refused(fault.to_owned()));
            return None;
        }
    };
    Some(Route {
        name,
        matching,
        body_limit: entry.body_limit_kb.map(|kb| u64::from(kb.value()) << 10),
        rewrite: rewrite?,
        action: action?,
        plugins,
    })
}

/// Reports routes of which none would be taken because another has the same match, and those that have one name because none
/// was given.
pub(super) fn check(
    routes: &[Route],
    places: &[&Place],
    listeners: &[Listener],
    resolver: &mut Resolver<'_>,
) {
    let served = |index: usize| {
        let numbered = listeners.iter().enumerate();
        let serving = numbered.filter(move |(_, listener)| listener.serves(index));
        serving.map(|(listener, _)| listener)
    };
    let mut matches = FirstSeen::default();
    let mut names = FirstSeen::default();
    for (index, (route, place)) in routes.iter().zip(places).enumerate() {
        let matched = route.matching.identity();
        let mut same = None;
        for listener in served(index) {
            same = same.or(matches.earlier(format!("{listener} {matched}"), place));
        }
        let same_name = names.earlier(route.name.clone(), place);
        let line = |first| resolver.document().line(first).unwrap_or_default();
        let fault = match (same, same_name) {
            (Some(first), _) => Fault::SameMatch {
                matched: route.matching.to_string(),
                line: line(first),
            },
            // A name that was given twice has been reported.
            (None, Some(first)) if route.name.contains('/') => Fault::SameDefaultName {
                name: route.name.clone(),
                line: line(first),
            },
            (None, _) => continue,
        };
        resolver.report(place, fault);
    }
}

fn plugin_uses(
    list: &[Placed<OrText<raw::PluginUse>>],
    plugins: &[Plugin],
    resolver: &mut Resolver<'_>,
) -> Vec<PluginUse> {
    let mut listed = HashSet::new();
    let mut uses = Vec::new();
    for Placed {
        value: OrText(entry),
        place,
    } in list
    {
        let names = plugins.iter().map(|plugin| plugin.name.as_str());
        let Some(index) = index_of("plugin", &entry.plugin, names, place, resolver) else {
            continue;
        };
        if !listed.insert(index) {
            resolver.report(place, Fault::SamePlugin(entry.plugin.clone()));
        }
        let plugin = &plugins[index];
        let own = entry.limits.as_ref();
        let body = super::plugins::body_limits(&plugin.limits, own.map(|limits| &limits.value));
        if let Some(limits) = own
            && body.exceeds(&BodyLimits::of(&plugin.limits))
        {
            let fault = "a route can allow less than the plugin's own `limits`, and not more: raise those";
            resolver.report(&limits.place, Fault::Refused(fault.to_owned()));
        }
        let mut config = plugin.config.clone();
        if let Some(own) = &entry.config {
            json::merge(&mut config, &own.0);
        }
        uses.push(PluginUse {
            plugin: index,
            on_failure: entry.on_failure.map_or(plugin.on_failure, |choice| choice.0),
            config,
            own_config: entry.config.is_some(),
            body,
        });
    }
    uses
}

/// The index of a name. `None` has been reported. Of several entries with one name the first is taken; the
/// others have been reported too.
pub(super) fn index_of<'a>(
    kind: &'static str,
    name: &str,
    mut names: impl Iterator<Item = &'a str> + Clone,
    place: &Place,
    resolver: &mut Resolver<'_>,
) -> Option<usize> {
    let defined = names.clone();
    let index = names.position(|candidate| candidate == name);
    if index.is_none() {
        let defined = defined.map(str::to_owned).collect();
        resolver.report(
            place,
            Fault::UnknownName {
                kind,
                name: name.to_owned(),
                defined,
            },
        );
    }
    index
}
