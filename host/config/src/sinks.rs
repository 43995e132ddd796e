//! Resolves `[access_log]` and `[tracing]`, and the secrets of every table.

use std::collections::HashSet;
use std::env;
use std::time::Duration;

use pace_base::file;

use super::address::{Host, split_port};
use super::problem::Fault;
use super::raw::telemetry as raw;
use super::resolve::Resolver;
use super::scalar::telemetry::Statuses;
use super::shape::{Placed, Table};
use super::types::telemetry::{AccessLog, Collector, LogField, Secret, SecretSource, StatusSet, Tracing};

const DEFAULT_SERVICE: &str = "pace";
const DEFAULT_TRACED_ONE_IN: u32 = 100;
const DEFAULT_COLLECTOR_TIMEOUT_MS: u32 = 10_000;
/// The path of traces where a collector's URL has none (OTLP 1.5, "OTLP/HTTP Request").
const DEFAULT_COLLECTOR_PATH: &str = "/v1/traces";
/// The port of OTLP over HTTP.
const DEFAULT_COLLECTOR_PORT: u16 = 4318;
/// The most bytes of a secret.
const MAX_SECRET: u64 = 64 << 10;

/// The access log, unless it is switched off.
pub(super) fn access_log(table: &Table<raw::AccessLog>, resolver: &mut Resolver<'_>) -> Option<AccessLog> {
    let written = &table.value;
    let fields = match &written.fields {
        None => LogField::ALL.to_vec(),
        Some(fields) => {
            let (named, place) = (fields.value.iter().map(|field| field.0), &fields.place);
            let mut seen = HashSet::new();
            if let Some(twice) = named.clone().find(|field| !seen.insert(*field)) {
                resolver.report(
                    place,
                    Fault::Refused(format!("the field \"{}\" is there twice", twice.name())),
                );
            }
            if fields.value.is_empty() {
                let fault = "a line needs at least one field; without `fields` it has all".to_owned();
                resolver.report(place, Fault::Refused(fault));
            }
            named.collect()
        }
    };
    let log = AccessLog {
        file: written
            .file
            .as_deref()
            .filter(|path| !path.is_empty())
            .map(|path| resolver.file(path)),
        format: written.format.map(|format| format.0).unwrap_or_default(),
        fields,
        sample_one_in: written.sample_one_in.map_or(1, |n| n.value()),
        statuses: written.statuses.as_deref().map_or(StatusSet::ALL, set),
        always: written.always.as_deref().map_or(StatusSet::NONE, set),
    };
    written.enabled.unwrap_or(true).then_some(log)
}

fn set(ranges: &[Statuses]) -> StatusSet {
    ranges.iter().fold(StatusSet::NONE, |set, Statuses(range)| {
        set.with(*range.start(), *range.end())
    })
}

/// The tracing of requests. `None` has been reported.
pub(super) fn tracing(table: &Table<raw::Tracing>, resolver: &mut Resolver<'_>) -> Option<Tracing> {
    let written = &table.value;
    let collector = match collector(&written.collector.value) {
        Ok(collector) => Some(collector),
        Err(reason) => {
            resolver.report(&written.collector.place, Fault::Refused(reason));
            None
        }
    };
    let mut headers = Vec::new();
    for (name, secret) in written.headers.iter().flat_map(|headers| &headers.0) {
        let value = self::secret(secret, resolver)?;
        if !value
            .expose()
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
        {
            let fault = "the text has characters that no header may have".to_owned();
            resolver.report(&secret.place, Fault::Refused(fault));
        }
        headers.push((name.0.clone(), value));
    }
    let service = match &written.service {
        None => DEFAULT_SERVICE.to_owned(),
        Some(Placed { value, place }) => {
            if value.is_empty() {
                resolver.report(place, Fault::Refused("must not be empty".to_owned()));
            }
            value.clone()
        }
    };
    if let (
        Some(ca),
        Some(Collector {
            is_encrypted: false, ..
        }),
    ) = (&written.ca, &collector)
    {
        let fault = "is for a collector with https:// alone".to_owned();
        resolver.report(&ca.place, Fault::Refused(fault));
    }
    Some(Tracing {
        collector: collector?,
        headers,
        ca: written.ca.as_ref().map(|ca| resolver.file(&ca.value)),
        service,
        sample_one_in: written.sample_one_in.map_or(DEFAULT_TRACED_ONE_IN, |n| n.value()),
        timeout: Duration::from_millis(
            written
                .timeout_ms
                .map_or(DEFAULT_COLLECTOR_TIMEOUT_MS, |millis| millis.value())
                .into(),
        ),
    })
}

/// Reads the URL of a collector.
fn collector(text: &str) -> Result<Collector, String> {
    let (is_encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => {
            return Err(format!(
                "{text:?} must begin with http:// or https://, as \"http://127.0.0.1:4318\" does"
            ));
        }
    };
    let is_allowed = |c: char| c.is_ascii_graphic() && !"\"#<>\\^`{|}".contains(c);
    if !text.chars().all(is_allowed) {
        return Err(format!("{text:?} must be written as in a URL"));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(format!("{text:?} has a user name; set `headers` instead"));
    }
    let (host, port) = split_port(authority)?;
    let port = port.unwrap_or(DEFAULT_COLLECTOR_PORT);
    if port == 0 {
        return Err(format!("{text:?} has port 0; allowed are 1 to 65535"));
    }
    let host = Host::parse(host)?.to_string();
    let path = match path {
        "" | "/" => DEFAULT_COLLECTOR_PATH,
        path => path,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Collector::new(is_encrypted, host, port, path.to_owned()))
}

/// Reads a secret where it is. `None` has been reported. A file's last line feed is no part of it.
pub(super) fn secret(table: &Table<raw::Secret>, resolver: &mut Resolver<'_>) -> Option<Secret> {
    let source = match (&table.value.env, &table.value.file) {
        (Some(name), None) => Ok(SecretSource::Env(name.clone())),
        (None, Some(path)) => Ok(SecretSource::File(resolver.file(path))),
        _ => Err("must be { env = \"NAME\" } or { file = \"PATH\" }".to_owned()),
    };
    let read = source.and_then(|source| match read(&source)? {
        text if text.is_empty() => Err("is empty".to_owned()),
        text => Ok(Secret::new(text, source)),
    });
    match read {
        Ok(secret) => Some(secret),
        Err(reason) => {
            resolver.report(&table.place, Fault::Refused(reason));
            None
        }
    }
}

fn read(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => match env::var(name) {
            Ok(text) => Ok(text),
            Err(env::VarError::NotPresent) => Err(format!("the environment has no variable {name:?}")),
            Err(env::VarError::NotUnicode(_)) => Err(format!("the variable {name:?} is not UTF-8")),
        },
        SecretSource::File(path) => read_file(path),
    }
}

fn read_file(path: &std::path::Path) -> Result<String, String> {
    let shown = path.display();
    let bytes = file::read(path, MAX_SECRET).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collector_url_has_defaults_of_otlp() {
        let read = |text| collector(text).map(|it| (it.is_encrypted, it.authority(), it.path));
        for (text, encrypted, authority, path) in [
            ("http://127.0.0.1", false, "127.0.0.1:4318", "/v1/traces"),
            ("http://[::1]:1/", false, "[::1]:1", "/v1/traces"),
            (
                "https://otel.example:443/otlp/v1/traces",
                true,
                "otel.example:443",
                "/otlp/v1/traces",
            ),
        ] {
            assert_eq!(read(text), Ok((encrypted, authority.to_owned(), path.to_owned())));
        }
        for wrong in [
            "127.0.0.1:4318",
            "grpc://a",
            "http://a:0",
            "http://u@a",
            "http://a/ b",
            "http://",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
