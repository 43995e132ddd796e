//! Resolves `[[routes]]`: the pool and the plugins for each request.

use std::collections::HashSet;

use pace_wire::request::Rules;

use super::json;
use super::plugins::unique_names;
use super::problem::Fault;
use super::raw::{self, Full};
use super::resolve::{FirstSeen, Resolver};
use super::shape::{OrText, Place, Placed, Table};
use super::types::{Plugin, PluginUse, Route};

/// The routes, in order. `plugins` are those of `full`.
pub(super) fn resolve(
    full: &Full,
    plugins: &[Plugin],
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Vec<Route> {
    unique_names(
        "route",
        full.routes.iter().filter_map(|e| e.value.name.as_ref()),
        resolver,
    );

    let mut matched = FirstSeen::default();
    let mut routes = Vec::new();
    for Table { value: entry, place } in &full.routes {
        let matching = &entry.matching.value;
        let host = matching.host.as_ref().map(|host| host.0.clone());
        let path_prefix = match &matching.path_prefix {
            None => Some("/".to_owned()),
            Some(path) => resolver.path(&path.0, rules, &entry.matching.place),
        };
        let Some(path_prefix) = path_prefix else { continue };
        // A name has no `/` and a prefix always has one, so these texts never collide with given names.
        let all = format!("{}{path_prefix}", host.as_deref().unwrap_or("*"));
        if let Some(first) = matched.earlier(all.clone(), place) {
            let line = resolver.document().line(first).unwrap_or_default();
            resolver.report(
                place,
                Fault::SameMatch {
                    matched: all.clone(),
                    line,
                },
            );
        }

        let uses = plugin_uses(&entry.plugins, plugins, resolver);
        let names = full.pools.iter().map(|pool| pool.value.name.value.as_str());
        if let Some(pool) = index_of("pool", &entry.pool.value, names, &entry.pool.place, resolver) {
            let name = entry
                .name
                .as_ref()
                .map_or(all, |name| name.value.as_str().to_owned());
            routes.push(Route {
                name,
                host,
                path_prefix,
                pool,
                plugins: uses,
            });
        }
    }
    routes
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
        let mut config = plugin.config.clone();
        if let Some(own) = &entry.config {
            json::merge(&mut config, &own.0);
        }
        uses.push(PluginUse {
            plugin: index,
            on_failure: entry.on_failure.map_or(plugin.on_failure, |choice| choice.0),
            config,
            own_config: entry.config.is_some(),
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
