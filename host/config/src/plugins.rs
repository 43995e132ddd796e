//! Resolves `[[plugins]]`.

use std::time::Duration;

use super::problem::Fault;
use super::raw;
use super::resolve::{FirstSeen, Resolver};
use super::scalar::{Name, Wasm};
use super::shape::{Entries, Placed, Table};
use super::sinks;
use super::types::{BodyLimits, Breaker, Isolation, Limits, OnFailure, Plugin, Rollback, Secrets, Source};
use super::warning::Warning;

/// Resolves each entry, in order.
pub(super) fn resolve(entries: &[Table<raw::Plugin>], resolver: &mut Resolver<'_>) -> Vec<Plugin> {
    unique_names("plugin", entries.iter().map(|entry| &entry.value.name), resolver);
    for Table { value: raw, .. } in entries {
        if let Some(Table { value: breaker, .. }) = &raw.breaker
            && let (Some(first), Some(longest)) = (breaker.cooldown_ms, breaker.max_cooldown_ms)
            && first.value() > longest.value()
        {
            resolver.remark(Warning::CooldownAboveMaximum(raw.name.value.as_str().to_owned()));
        }
    }
    let mut plugin = |entry: &Table<raw::Plugin>| {
        let raw = &entry.value;
        Plugin {
            name: raw.name.value.as_str().to_owned(),
            source: match &raw.wasm {
                Wasm::Builtin(name) => Source::Builtin(name.clone()),
                Wasm::File(path) => Source::File(resolver.file(path)),
            },
            sha256: raw.sha256.map(|digest| digest.0),
            on_failure: raw.on_failure.map_or(OnFailure::default(), |choice| choice.0),
            isolation: raw.isolation.map_or(Isolation::default(), |choice| choice.0),
            limits: or_default(raw.limits.as_ref(), limits),
            breaker: or_default(raw.breaker.as_ref(), breaker),
            rollback: or_default(raw.rollback.as_ref(), rollback),
            secrets: secrets(&raw.secrets, resolver),
            config: raw.config.0.clone(),
        }
    };
    entries.iter().map(&mut plugin).collect()
}

/// Reads what the plugin is granted. What cannot be read has been reported.
fn secrets(raw: &Entries<Name, Table<raw::telemetry::Secret>>, resolver: &mut Resolver<'_>) -> Secrets {
    let read = raw.0.iter().filter_map(|(name, table)| {
        let secret = sinks::secret(table, resolver)?;
        Some((name.as_str().to_owned(), secret))
    });
    read.collect()
}

fn or_default<R, T: Default>(table: Option<&Table<R>>, resolve: impl Fn(&R) -> T) -> T {
    table.map_or_else(T::default, |table| resolve(&table.value))
}

/// The limits of the bodies that a plugin is shown on a route: those that the route writes, or else the plugin's.
pub(super) fn body_limits(limits: &Limits, raw: Option<&raw::UseLimits>) -> BodyLimits {
    let of_plugin = BodyLimits::of(limits);
    let Some(raw) = raw else {
        return of_plugin;
    };
    BodyLimits {
        whole: raw
            .read_body_kb
            .map_or(of_plugin.whole, |kib| kibibytes(kib.value())),
        time: raw.read_body_ms.map_or(of_plugin.time, |ms| millis(ms.value())),
        unit: raw.unit_kb.map_or(of_plugin.unit, |kib| kibibytes(kib.value())),
    }
}

/// The limits that are written, with defaults for the others.
pub fn limits(raw: &raw::Limits) -> Limits {
    let default = Limits::default();
    let memory = raw.memory_mb.map_or(default.memory, |mib| mebibytes(mib.value()));
    Limits {
        time: raw.time_ms.map_or(default.time, |ms| millis(ms.value())),
        memory,
        headers: raw
            .headers
            .map_or(default.headers, |count| count.value() as usize),
        header_bytes: raw
            .header_kb
            .map_or(default.header_bytes, |kib| kibibytes(kib.value())),
        body_bytes: raw
            .body_kb
            .map_or(default.body_bytes, |kib| kibibytes(kib.value())),
        read_body_bytes: raw
            .read_body_kb
            .map_or(default.read_body_bytes, |kib| kibibytes(kib.value())),
        read_body_time: raw
            .read_body_ms
            .map_or(default.read_body_time, |ms| millis(ms.value())),
        unit_bytes: raw
            .unit_kb
            .map_or(default.unit_bytes, |kib| kibibytes(kib.value())),
        streams: raw.streams.map_or(default.streams, |count| count.value()),
        handles: raw
            .handles
            .map_or(default.handles, |count| count.value() as usize),
        windows: raw
            .windows
            .map_or(default.windows, |count| count.value() as usize),
        window_keys: raw
            .window_keys
            .map_or(default.window_keys, |count| count.value() as usize),
        tables: raw.tables.map_or(default.tables, |count| count.value() as usize),
        value_bytes: raw
            .value_kb
            .map_or(default.value_bytes, |kib| kibibytes(kib.value())),
        metrics: raw
            .metrics
            .map_or(default.metrics, |count| count.value() as usize),
        state: raw.state_mb.map_or(default.state, |mib| mebibytes(mib.value())),
        log_lines_per_second: raw
            .log_lines_per_second
            .map_or(default.log_lines_per_second, |count| count.value()),
        recycle_memory: raw.recycle_memory_mb.map(|mib| mebibytes(mib.value())),
        recycle_uses: raw
            .recycle_uses
            .map_or(default.recycle_uses, |count| count.value()),
    }
}

fn breaker(raw: &raw::Breaker) -> Breaker {
    let default = Breaker::default();
    let cooldown = raw.cooldown_ms.map_or(default.cooldown, |ms| millis(ms.value()));
    Breaker {
        failures: raw.failures.map_or(default.failures, |count| count.value()),
        cooldown,
        max_cooldown: raw
            .max_cooldown_ms
            .map_or(default.max_cooldown, |ms| millis(ms.value()))
            .max(cooldown),
    }
}

fn rollback(raw: &raw::Rollback) -> Rollback {
    let default = Rollback::default();
    Rollback {
        calls: raw.calls.map_or(default.calls, |count| count.value()),
        failures_percent: raw
            .failures_percent
            .map_or(default.failures_percent, |percent| percent.value()),
    }
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(value.into())
}

fn kibibytes(value: u32) -> usize {
    (value as usize) << 10
}

pub(super) fn mebibytes(value: u32) -> usize {
    (value as usize) << 20
}

/// Reports every repeated name. `kind` says whose names they are.
pub(super) fn unique_names<'a>(
    kind: &'static str,
    names: impl Iterator<Item = &'a Placed<Name>>,
    resolver: &mut Resolver<'_>,
) {
    let mut seen = FirstSeen::default();
    for name in names {
        let text = name.value.as_str();
        if let Some(first) = seen.earlier(text.to_owned(), &name.place) {
            let line = resolver.document().line(first).unwrap_or_default();
            resolver.report(
                &name.place,
                Fault::SameName {
                    kind,
                    name: text.to_owned(),
                    line,
                },
            );
        }
    }
}
