//! Expands the short form: `[upstreams]`, `[rate_limit]` and `[headers]` become plugins, a pool and a route.

use serde_json::{Map, Value};

use super::Overrides;
use super::address::BackendAddress;
use super::json::JsonTable;
use super::problem::Fault;
use super::raw::{self, Full};
use super::resolve::Resolver;
use super::scalar::{Name, Wasm};
use super::shape::{Entries, OrText, Place, Placed, Table};

const DEFAULT_MAX_REQUESTS: u32 = 100;
const DEFAULT_WINDOW_SECONDS: u32 = 60;
const DEFAULT_KEY: &str = "client_ip";

/// The full form of a file in either form.
pub(super) fn expand(file: &mut raw::File, overrides: &Overrides, resolver: &mut Resolver<'_>) -> Full {
    let short = [
        ("[upstreams]", file.upstreams.as_ref().map(|table| &table.place)),
        ("[rate_limit]", file.rate_limit.as_ref().map(|table| &table.place)),
        ("[headers]", file.headers.as_ref().map(|table| &table.place)),
    ];
    let full = [
        ("[[plugins]]", file.plugins.as_ref().map(|list| &list.place)),
        ("[[pools]]", file.pools.as_ref().map(|list| &list.place)),
        ("[[routes]]", file.routes.as_ref().map(|list| &list.place)),
    ];
    let first = |keys: [(&'static str, Option<&Place>); 3]| {
        keys.into_iter()
            .find_map(|(key, place)| Some((key, place?.clone())))
    };
    match (first(short), first(full)) {
        (_, None) => short_form(file, overrides, resolver),
        (None, Some(_)) => full_form(file, overrides, resolver),
        (Some((short, short_place)), Some((full, full_place))) => {
            let line = resolver.document().line(&short_place).unwrap_or_default();
            resolver.report(&full_place, Fault::MixedForms { short, line, full });
            Full::default()
        }
    }
}

fn full_form(file: &mut raw::File, overrides: &Overrides, resolver: &mut Resolver<'_>) -> Full {
    if !overrides.backends.is_empty() {
        resolver.report(
            &Place::Option("--backend"),
            Fault::BackendsWithPools(resolver.document().name()),
        );
    }
    let full = Full {
        plugins: file.plugins.take().map(|list| list.value).unwrap_or_default(),
        pools: file.pools.take().map(|list| list.value).unwrap_or_default(),
        routes: file.routes.take().map(|list| list.value).unwrap_or_default(),
    };
    let needs_pool =
        |route: &Table<raw::routes::Route>| route.value.pool.is_some() || route.value.pools.is_some();
    if full.pools.is_empty() && (full.routes.is_empty() || full.routes.iter().any(needs_pool)) {
        resolver.report(&Place::Nowhere, Fault::MissingList("[[pools]]"));
        // Each route would only repeat this problem.
        return Full {
            routes: Vec::new(),
            ..full
        };
    }
    if full.routes.is_empty() {
        resolver.report(&Place::Nowhere, Fault::MissingList("[[routes]]"));
    }
    full
}

fn short_form(file: &mut raw::File, overrides: &Overrides, resolver: &mut Resolver<'_>) -> Full {
    let Some(pool) = pool(file.upstreams.take(), &overrides.backends, resolver) else {
        return Full::default();
    };
    let rate_limit = file
        .rate_limit
        .take()
        .map(|table| table.value)
        .unwrap_or_default();
    let headers = file.headers.take().map(|table| table.value).unwrap_or_default();

    let mut plugins = Vec::new();
    if rate_limit.enabled.unwrap_or(true) {
        plugins.push(builtin("rate-limiter", limiter_config(rate_limit)));
    }
    plugins.push(builtin("round-robin", Map::new()));
    plugins.push(builtin("header-injection", headers_config(headers)));

    let route = raw::routes::Route {
        name: Some(unplaced(Name::fixed("default"))),
        matching: Table::default(),
        pool: Some(unplaced("default".to_owned())),
        pools: None,
        split_by: None,
        mirror: None,
        rewrite: None,
        timeouts: None,
        body_limit_kb: None,
        redirect: None,
        respond: None,
        plugins: plugins
            .iter()
            .map(|plugin| plugin_use(plugin.value.name.value.as_str()))
            .collect(),
    };
    Full {
        plugins,
        pools: vec![pool],
        routes: vec![table(route)],
    }
}

/// The pool of the short form. `None` has been reported.
fn pool(
    upstreams: Option<Table<raw::Upstreams>>,
    from_command_line: &[String],
    resolver: &mut Resolver<'_>,
) -> Option<Table<raw::Pool>> {
    let Table {
        value: mut upstreams,
        place,
    } = upstreams.unwrap_or_default();
    let backends = match (upstreams.backends.take(), from_command_line) {
        (_, [_, ..]) => backends_option(from_command_line, resolver)?,
        (Some(backends), []) => backends,
        (None, []) => {
            let fault = if resolver.document().is_file() {
                Fault::NoBackends
            } else {
                Fault::NothingGiven
            };
            resolver.report(&place, fault);
            return None;
        }
    };
    let pool = upstreams.named(unplaced(Name::fixed("default")), backends);
    Some(Table { value: pool, place })
}

/// The backends of the command line. `None` has been reported.
fn backends_option(texts: &[String], resolver: &mut Resolver<'_>) -> Option<raw::Backends> {
    let place = Place::Option("--backend");
    let mut backends = Vec::new();
    for text in texts {
        match BackendAddress::parse(text) {
            Ok(address) => {
                let value = OrText(raw::Backend {
                    address,
                    weight: None,
                    backup: None,
                });
                backends.push(Placed {
                    value,
                    place: place.clone(),
                });
            }
            Err(reason) => resolver.report(&place, Fault::Refused(reason)),
        }
    }
    (backends.len() == texts.len()).then_some(Placed {
        value: backends,
        place,
    })
}

fn limiter_config(table: raw::RateLimit) -> Map<String, Value> {
    let max_requests = table.max_requests.map_or(DEFAULT_MAX_REQUESTS, |n| n.value());
    let window_seconds = table.window_seconds.map_or(DEFAULT_WINDOW_SECONDS, |n| n.value());
    let key = table
        .key_extractor
        .map_or_else(|| DEFAULT_KEY.to_owned(), |key| key.value.0);
    let mut config = Map::from_iter([
        ("max_requests".to_owned(), max_requests.into()),
        ("window_seconds".to_owned(), window_seconds.into()),
        ("key".to_owned(), key.into()),
    ]);
    let prefixes = [
        ("ipv4_prefix", table.ipv4_prefix.map(|bits| bits.value())),
        ("ipv6_prefix", table.ipv6_prefix.map(|bits| bits.value())),
    ];
    config.extend(
        prefixes
            .into_iter()
            .filter_map(|(key, bits)| Some((key.to_owned(), bits?.into()))),
    );
    config
}

fn headers_config(table: raw::Headers) -> Map<String, Value> {
    let values = [
        ("identify", table.identify.map(Value::Bool)),
        ("request", table.request.map(|edits| Value::Object(edits.0))),
        ("response", table.response.map(|edits| Value::Object(edits.0))),
    ];
    values
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// A default plugin, named after its code.
fn builtin(name: &'static str, config: Map<String, Value>) -> Table<raw::Plugin> {
    table(raw::Plugin {
        name: unplaced(Name::fixed(name)),
        wasm: Wasm::Builtin(name.to_owned()),
        sha256: None,
        on_failure: None,
        isolation: None,
        limits: None,
        breaker: None,
        rollback: None,
        secrets: Entries::default(),
        config: JsonTable(config),
    })
}

fn plugin_use(name: &str) -> Placed<OrText<raw::PluginUse>> {
    unplaced(OrText(raw::PluginUse {
        plugin: name.to_owned(),
        config: None,
        on_failure: None,
        limits: None,
    }))
}

fn unplaced<T>(value: T) -> Placed<T> {
    Placed {
        value,
        place: Place::Nowhere,
    }
}

fn table<T>(value: T) -> Table<T> {
    Table {
        value,
        place: Place::Nowhere,
    }
}
