//! `[[pools]]`, and `[upstreams]`, which is one of them.

use std::time::Duration;

use super::address::BackendAddress;
use super::plugins::unique_names;
use super::problem::Fault;
use super::raw::{self, Millis};
use super::resolve::{FirstSeen, Resolver};
use super::shape::{OrText, Placed, Table};
use super::types::{Backend, Pool};

const DEFAULT_MAX_RETRIES: u32 = 1;
const DEFAULT_CONNECT_TIMEOUT_MS: u32 = 3_000;
const DEFAULT_RESPONSE_TIMEOUT_MS: u32 = 60_000;
const DEFAULT_IDLE_TIMEOUT_MS: u32 = 60_000;
const DEFAULT_IDLE_CONNECTIONS: u32 = 128;
const DEFAULT_WEIGHT: u32 = 1;
/// `select-upstream` counts further, weights and memory do not.
const MOST_BACKENDS: usize = 65_535;

/// One for each entry, in order.
pub(super) fn resolve(entries: &[Table<raw::Pool>], resolver: &mut Resolver<'_>) -> Vec<Pool> {
    unique_names("pool", entries.iter().map(|entry| &entry.value.name), resolver);
    entries.iter().map(|entry| pool(&entry.value, resolver)).collect()
}

fn pool(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> Pool {
    Pool {
        name: pool.name.value.as_str().to_owned(),
        backends: backends(&pool.backends, resolver),
        max_retries: pool.max_retries.map_or(DEFAULT_MAX_RETRIES, |n| n.value()),
        connect_timeout: duration(pool.connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS),
        response_timeout: duration(pool.response_timeout_ms, DEFAULT_RESPONSE_TIMEOUT_MS),
        idle_timeout: duration(pool.idle_timeout_ms, DEFAULT_IDLE_TIMEOUT_MS),
        idle_connections: pool
            .idle_connections
            .map_or(DEFAULT_IDLE_CONNECTIONS, |n| n.value()) as usize,
    }
}

fn duration(millis: Option<Millis>, default: u32) -> Duration {
    Duration::from_millis(millis.map_or(default, |ms| ms.value()).into())
}

fn backends(list: &raw::Backends, resolver: &mut Resolver<'_>) -> Vec<Backend> {
    match list.value.len() {
        0 => resolver.report(&list.place, Fault::EmptyPool),
        1..=MOST_BACKENDS => unique(&list.value, resolver),
        count => {
            resolver.report(&list.place, Fault::TooManyBackends(count));
            return Vec::new();
        }
    }
    list.value.iter().map(backend).collect()
}

fn backend(entry: &Placed<OrText<raw::Backend>>) -> Backend {
    let OrText(raw::Backend {
        address: BackendAddress { label, host, port },
        weight,
    }) = &entry.value;
    Backend {
        label: label.clone(),
        host: host.clone(),
        port: *port,
        weight: weight.map_or(DEFAULT_WEIGHT, |n| n.value()),
    }
}

fn unique(entries: &[Placed<OrText<raw::Backend>>], resolver: &mut Resolver<'_>) {
    let mut seen = FirstSeen::default();
    for Placed {
        value: OrText(raw::Backend { address, .. }),
        place,
    } in entries
    {
        if let Some(first) = seen.earlier(address.identity(), place) {
            let line = resolver.document().line(first);
            resolver.report(
                place,
                Fault::SameBackend {
                    backend: address.label.clone(),
                    line,
                },
            );
        }
    }
}
