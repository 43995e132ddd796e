//! `[metrics]`, `[access_log]` and `[tracing]`.

use super::masked::{self, source};
use super::tree::{Node, Table};
use super::{millis, path};
use crate::types::Metrics;
use crate::types::telemetry::{AccessLog, Collector, LogField, LogFormat, StatusSet, Tracing};

pub(super) fn metrics(metrics: &Metrics) -> Table {
    let Metrics { endpoint } = metrics;
    Table::new()
        .with("enabled", true)
        .with("endpoint", endpoint.as_str())
}

pub(super) fn access_log(log: &AccessLog) -> Table {
    let AccessLog {
        file,
        format,
        fields,
        sample_one_in,
        statuses,
        always,
    } = log;
    Table::new()
        .with("enabled", true)
        .with("file", file.as_deref().map(path).unwrap_or_default())
        .with(
            "format",
            match format {
                LogFormat::Json => "json",
                LogFormat::Text => "text",
            },
        )
        .with("fields", Node::list(fields.iter().copied().map(LogField::name)))
        .with("sample_one_in", *sample_one_in)
        .with("statuses", ranges(statuses))
        .with("always", ranges(always))
}

fn ranges(statuses: &StatusSet) -> Node {
    Node::list(
        statuses
            .ranges()
            .map(|range| range_of(*range.start(), *range.end())),
    )
}

/// A range of statuses, its last included.
pub(super) fn range_of(first: u16, last: u16) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

pub(super) fn tracing(tracing: &Tracing) -> Table {
    let Tracing {
        collector,
        headers,
        ca,
        service,
        sample_one_in,
        timeout,
    } = tracing;
    let Collector {
        is_encrypted,
        host: _,
        port: _,
        path: at,
    } = collector;
    let scheme = if *is_encrypted { "https" } else { "http" };
    let url = format!("{scheme}://{}{at}", collector.authority());
    let headers = headers.iter().fold(Table::new(), |shown, (name, value)| {
        shown.with(name, source(value))
    });
    Table::new()
        .with("collector", masked::text(&url))
        .with("headers", headers)
        .with_some("ca", ca.as_deref().map(path))
        .with("service", service.as_str())
        .with("sample_one_in", *sample_one_in)
        .with("timeout_ms", millis(*timeout))
}
