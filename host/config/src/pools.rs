//! Resolves `[[pools]]`, and `[upstreams]`, which is a pool too.

use super::address::BackendAddress;
use super::plugins::unique_names;
use super::problem::Fault;
use super::raw::{self, Millis};
use super::resolve::{FirstSeen, Resolver};
use super::scalar::Int;
use super::shape::{OrText, Placed, Table};
use super::types::{Backend, BackendTls, Pool, PoolSettings, Retry};
use super::upkeep;

const DEFAULT_WEIGHT: u32 = 1;
/// `select-upstream` can count further; weights and memory cannot.
const MOST_BACKENDS: usize = 65_535;

/// Resolves each entry, in order.
pub(super) fn resolve(entries: &[Table<raw::Pool>], resolver: &mut Resolver<'_>) -> Vec<Pool> {
    unique_names("pool", entries.iter().map(|entry| &entry.value.name), resolver);
    entries.iter().map(|entry| pool(&entry.value, resolver)).collect()
}

fn pool(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> Pool {
    Pool {
        name: pool.name.value.as_str().to_owned(),
        backends: backends(&pool.backends, resolver),
        settings: settings(pool, resolver),
    }
}

fn settings(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> PoolSettings {
    let default = PoolSettings::default();
    let millis = |written: Option<Millis>, default| written.map_or(default, Int::millis);
    let kilobytes = |written: Option<Int<0, 65_536>>, default: usize| {
        written.map_or(default, |kb| kb.value() as usize * 1024)
    };
    let response_timeout = millis(pool.response_timeout_ms, default.response_timeout);
    PoolSettings {
        retry: retry(pool, resolver),
        retry_body: kilobytes(pool.retry_body_kb, default.retry_body),
        buffer_request: kilobytes(pool.buffer_request_kb, default.buffer_request),
        connect_timeout: millis(pool.connect_timeout_ms, default.connect_timeout),
        first_byte_timeout: millis(pool.first_byte_timeout_ms, response_timeout),
        response_timeout,
        total_timeout: pool.total_timeout_ms.and_then(Int::millis_unless_zero),
        idle_timeout: millis(pool.idle_timeout_ms, default.idle_timeout),
        idle_connections: pool
            .idle_connections
            .map_or(default.idle_connections, |n| n.value() as usize),
        protocol: pool.protocol.map_or(default.protocol, |protocol| protocol.0),
        tls: tls(pool, resolver),
        upkeep: upkeep::resolve(pool, resolver),
    }
}

/// `tls`. Without a backend with `https` it would have no effect.
fn tls(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> BackendTls {
    let Some(table) = &pool.tls else {
        return BackendTls::default();
    };
    let is_encrypted = |entry: &Placed<OrText<raw::Backend>>| entry.value.0.address.is_encrypted;
    if !table.value.is_empty() && !pool.backends.value.iter().any(is_encrypted) {
        let fault = "no backend of this pool is reached over TLS: write their addresses with https://";
        resolver.report(&table.place, Fault::Refused(fault.to_owned()));
    }
    let said = &table.value;
    let identity = resolver.identity(said.cert.as_ref(), said.key.as_ref());
    let verify = said.verify.unwrap_or(true);
    if let (false, Some(ca)) = (verify, &said.ca) {
        let fault = "nothing is verified with `verify = false`, so no authority is asked";
        resolver.report(&ca.place, Fault::Refused(fault.to_owned()));
    }
    BackendTls {
        ca: said.ca.as_ref().map(|path| resolver.file(&path.value)),
        server_name: said.server_name.as_ref().map(|name| name.0.clone()),
        identity,
        verify,
    }
}

fn retry(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> Retry {
    let mut retry = Retry::default();
    let retries = pool.max_retries.as_ref();
    if let Some(retries) = retries {
        retry.attempts = retries.value.value() + 1;
    }
    let Some(Table { value: written, .. }) = &pool.retry else {
        return retry;
    };
    if let (Some(attempts), Some(retries)) = (written.attempts, retries)
        && attempts.value() != retry.attempts
    {
        resolver.report(&retries.place, Fault::RetriesAndAttempts);
    }
    if let Some(attempts) = written.attempts {
        retry.attempts = attempts.value();
    }
    if let Some(on) = &written.on {
        retry.on = on.iter().map(|on| on.0).collect();
    }
    if let Some(percent) = written.budget_percent {
        retry.budget_percent = percent.value();
    }
    retry.per_try = written.per_try_ms.and_then(Int::millis_unless_zero);
    if let Some(millis) = written.backoff_ms {
        retry.backoff = millis.millis();
    }
    retry
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
        address: BackendAddress {
            label,
            endpoint,
            is_encrypted,
        },
        weight,
        backup,
    }) = &entry.value;
    Backend {
        label: label.clone(),
        endpoint: endpoint.clone(),
        weight: weight.map_or(DEFAULT_WEIGHT, |n| n.value()),
        is_backup: backup.unwrap_or(false),
        is_encrypted: *is_encrypted,
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
