//! `[[pools]]`.

use super::telemetry::range_of;
use super::tree::{Node, Table};
use super::{masked, millis, millis_or_zero, path, seconds_or_zero};
use crate::types::pool::{CheckKind, Ejection, Endpoint, HealthCheck, InFlightLimit, Stickiness, Upkeep};
use crate::types::{Backend, BackendTls, Pool, PoolSettings, Protocol, Retry, RetryOn};

pub(super) fn pool(pool: &Pool) -> Table {
    let Pool {
        name,
        backends,
        settings,
    } = pool;
    let PoolSettings {
        retry,
        retry_body,
        buffer_request,
        connect_timeout,
        first_byte_timeout,
        response_timeout,
        total_timeout,
        idle_timeout,
        idle_connections,
        protocol,
        tls,
        upkeep,
    } = settings;
    let Upkeep {
        resolve_every,
        health_check,
        ejection,
        slow_start,
        in_flight,
        stickiness,
    } = upkeep;
    // Where nothing is encrypted, the table would be a mistake.
    let is_encrypted = backends.iter().any(|backend| backend.is_encrypted);
    let shown = Table::new()
        .with("name", name.as_str())
        .with("backends", Node::list(backends.iter().map(backend)))
        .with("retry", self::retry(retry))
        .with("retry_body_kb", retry_body / 1024)
        .with("buffer_request_kb", buffer_request / 1024)
        .with("connect_timeout_ms", millis(*connect_timeout))
        .with("first_byte_timeout_ms", millis(*first_byte_timeout))
        .with("response_timeout_ms", millis(*response_timeout))
        .with("total_timeout_ms", millis_or_zero(*total_timeout))
        .with("idle_timeout_ms", millis(*idle_timeout))
        .with("idle_connections", *idle_connections)
        .with(
            "protocol",
            match protocol {
                Protocol::Auto => "auto",
                Protocol::Http1 => "http/1.1",
                Protocol::Http2 => "h2",
            },
        )
        .with_some("tls", is_encrypted.then(|| self::tls(tls)))
        .with("resolve_every_seconds", seconds_or_zero(*resolve_every))
        .with_some("health_check", health_check.as_ref().map(self::health_check))
        .with_some("ejection", ejection.map(self::ejection))
        .with("slow_start_ms", millis(*slow_start));
    let shown = match in_flight {
        None => shown,
        Some(InFlightLimit { most, queued, wait }) => shown
            .with("max_in_flight", *most)
            .with("max_queued", *queued)
            .with("queue_ms", millis(*wait)),
    };
    shown.with_some("stickiness", stickiness.as_ref().map(self::stickiness))
}

fn backend(backend: &Backend) -> Table {
    let Backend {
        label,
        endpoint,
        weight,
        is_backup,
        is_encrypted,
    } = backend;
    let address = match (endpoint, is_encrypted) {
        (Endpoint::Unix(_), _) => label.clone(),
        (Endpoint::Tcp { .. }, true) => format!("https://{label}"),
        (Endpoint::Tcp { .. }, false) => format!("http://{label}"),
    };
    Table::new()
        .with("address", address)
        .with("weight", *weight)
        .with("backup", *is_backup)
}

fn retry(retry: &Retry) -> Table {
    let Retry {
        attempts,
        on,
        budget_percent,
        per_try,
        backoff,
    } = retry;
    let on = on.iter().map(|outcome| match outcome {
        RetryOn::Connect => "connect".to_owned(),
        RetryOn::Closed => "closed".to_owned(),
        RetryOn::Timeout => "timeout".to_owned(),
        RetryOn::Status(status) => status.to_string(),
    });
    Table::new()
        .with("attempts", *attempts)
        .with("on", Node::list(on))
        .with("budget_percent", *budget_percent)
        .with("per_try_ms", millis_or_zero(*per_try))
        .with("backoff_ms", millis(*backoff))
}

fn tls(tls: &BackendTls) -> Table {
    let BackendTls {
        ca,
        server_name,
        identity,
        verify,
    } = tls;
    let (cert, key) = identity
        .as_ref()
        .map(|(cert, key)| (path(cert), path(key)))
        .unzip();
    Table::new()
        .with_some("ca", ca.as_deref().map(path))
        .with_some("server_name", server_name.as_deref())
        .with_some("cert", cert)
        .with_some("key", key)
        .with("verify", *verify)
}

fn health_check(check: &HealthCheck) -> Table {
    let HealthCheck {
        kind,
        interval,
        timeout,
        healthy_after,
        unhealthy_after,
    } = check;
    let shown = match kind {
        CheckKind::Tcp => Table::new().with("kind", "tcp"),
        CheckKind::Grpc => Table::new().with("kind", "grpc"),
        CheckKind::Http { path, expect } => {
            let ranges = expect.0.iter().map(|(first, last)| range_of(*first, *last));
            Table::new()
                .with("kind", "http")
                .with("path", masked::text(path))
                .with("expect", ranges.collect::<Vec<_>>().join(","))
        }
    };
    shown
        .with("interval_ms", millis(*interval))
        .with("timeout_ms", millis(*timeout))
        .with("healthy_after", *healthy_after)
        .with("unhealthy_after", *unhealthy_after)
}

fn ejection(ejection: Ejection) -> Table {
    let Ejection {
        failures,
        time,
        max_percent,
    } = ejection;
    Table::new()
        .with("failures", failures)
        .with("for_ms", millis(time))
        .with("max_percent", max_percent)
}

fn stickiness(stickiness: &Stickiness) -> Table {
    let Stickiness { cookie, ttl } = stickiness;
    Table::new()
        .with("cookie", cookie.as_str())
        .with("ttl_seconds", seconds_or_zero(*ttl))
}
