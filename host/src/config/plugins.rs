//! `[[plugins]]`.

use std::time::Duration;

use super::problem::Fault;
use super::raw;
use super::resolve::{FirstSeen, Resolver};
use super::scalar::{Name, Wasm};
use super::shape::{Placed, Table};
use super::types::{Limits, OnFailure, Plugin, Source};

/// One for each entry, in order.
pub(super) fn resolve(entries: &[Table<raw::Plugin>], resolver: &mut Resolver<'_>) -> Vec<Plugin> {
    unique_names("plugin", entries.iter().map(|entry| &entry.value.name), resolver);
    let plugin = |entry: &Table<raw::Plugin>| {
        let raw::Plugin {
            name,
            wasm,
            on_failure,
            limits,
            config,
        } = &entry.value;
        Plugin {
            name: name.value.as_str().to_owned(),
            source: match wasm {
                Wasm::Builtin(name) => Source::Builtin(name.clone()),
                Wasm::File(path) => Source::File(resolver.file(path)),
            },
            on_failure: on_failure.map_or(OnFailure::default(), |choice| choice.0),
            limits: limits
                .as_ref()
                .map_or_else(Limits::default, |table| self::limits(&table.value)),
            config: config.0.clone(),
        }
    };
    entries.iter().map(plugin).collect()
}

fn limits(limits: &raw::Limits) -> Limits {
    let default = Limits::default();
    Limits {
        time: limits
            .time_ms
            .map_or(default.time, |ms| Duration::from_millis(ms.value().into())),
        memory: limits
            .memory_mb
            .map_or(default.memory, |mib| (mib.value() as usize) << 20),
    }
}

/// Reports every name that is there already. `kind` is what has these names.
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
