//! `[[plugins]]`.

use super::tree::Table;
use super::{masked, millis};
use crate::types::telemetry::Secret;
use crate::types::{Breaker, Isolation, Limits, OnFailure, Plugin, Rollback, Secrets};

/// The bytes of a mebibyte.
const MEBIBYTE: usize = 1 << 20;

pub(super) fn plugin(plugin: &Plugin) -> Table {
    let Plugin {
        name,
        source,
        sha256,
        on_failure,
        isolation,
        limits,
        breaker,
        rollback,
        config,
        secrets,
    } = plugin;
    Table::new()
        .with("name", name.as_str())
        .with("wasm", source.to_string())
        .with_some("sha256", sha256.map(|digest| digest.to_string()))
        .with("on_failure", outcome(*on_failure))
        .with(
            "isolation",
            match isolation {
                Isolation::Worker => "worker",
                Isolation::Request => "request",
            },
        )
        .with("limits", self::limits(*limits))
        .with("breaker", self::breaker(*breaker))
        .with("rollback", self::rollback(*rollback))
        .with("config", masked::table(config))
        .with_some("secrets", secrets_of(secrets))
}

/// The places where secrets are read, by their names.
fn secrets_of(secrets: &Secrets) -> Option<Table> {
    let add = |table: Table, (name, secret): (&str, &Secret)| table.with(name, masked::source(secret));
    let table = secrets.iter().fold(Table::new(), add);
    Some(table).filter(|table| !table.is_empty())
}

/// The outcome of a request when a plugin fails.
pub(super) fn outcome(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Closed => "closed",
        OnFailure::Open => "open",
    }
}

fn limits(limits: Limits) -> Table {
    let Limits {
        time,
        memory,
        headers,
        header_bytes,
        body_bytes,
        read_body_bytes,
        read_body_time,
        unit_bytes,
        streams,
        handles,
        windows,
        window_keys,
        tables,
        value_bytes,
        metrics,
        state,
        log_lines_per_second,
        recycle_memory,
        recycle_uses,
    } = limits;
    Table::new()
        .with("time_ms", millis(time))
        .with("memory_mb", memory / MEBIBYTE)
        .with("headers", headers)
        .with("header_kb", header_bytes / 1024)
        .with("body_kb", body_bytes / 1024)
        .with("read_body_kb", read_body_bytes / 1024)
        .with("read_body_ms", millis(read_body_time))
        .with("unit_kb", unit_bytes / 1024)
        .with("streams", streams)
        .with("handles", handles)
        .with("windows", windows)
        .with("window_keys", window_keys)
        .with("tables", tables)
        .with("value_kb", value_bytes / 1024)
        .with("metrics", metrics)
        .with("state_mb", state / MEBIBYTE)
        .with("log_lines_per_second", log_lines_per_second)
        .with_some("recycle_memory_mb", recycle_memory.map(|bytes| bytes / MEBIBYTE))
        .with("recycle_uses", recycle_uses)
}

fn breaker(breaker: Breaker) -> Table {
    let Breaker {
        failures,
        cooldown,
        max_cooldown,
    } = breaker;
    Table::new()
        .with("failures", failures)
        .with("cooldown_ms", millis(cooldown))
        .with("max_cooldown_ms", millis(max_cooldown))
}

fn rollback(rollback: Rollback) -> Table {
    let Rollback {
        calls,
        failures_percent,
    } = rollback;
    Table::new()
        .with("calls", calls)
        .with("failures_percent", failures_percent)
}
