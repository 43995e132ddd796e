//! Resolves the keys by which a pool looks after its backends.

use std::time::Duration;

use super::problem::Fault;
use super::raw::pools as written;
use super::raw::{self, Millis};
use super::resolve::Resolver;
use super::scalar;
use super::shape::{OrText, Placed, Table};
use super::types::Protocol;
use super::types::pool::{CheckKind, Ejection, HealthCheck, InFlightLimit, Stickiness, Upkeep};

/// The most requests that wait, if the pool says nothing of it.
const DEFAULT_QUEUED: u32 = 1000;

/// The longest wait, if the pool says nothing of it.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

pub(super) fn resolve(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> Upkeep {
    let default = Upkeep::default();
    let seconds = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    Upkeep {
        resolve_every: pool
            .resolve_every_seconds
            .map_or(default.resolve_every, |every| seconds(every.value())),
        health_check: pool
            .health_check
            .as_ref()
            .map(|table| health_check(pool, table, resolver)),
        ejection: pool.ejection.as_ref().map(|Table { value, .. }| ejection(value)),
        slow_start: pool.slow_start_ms.map_or(default.slow_start, scalar::Int::millis),
        in_flight: in_flight(pool, resolver),
        stickiness: pool.stickiness.as_ref().map(|Table { value, .. }| {
            let default = Stickiness::default();
            Stickiness {
                cookie: value
                    .cookie
                    .as_ref()
                    .map_or(default.cookie, |name| name.0.clone()),
                ttl: value.ttl_seconds.map_or(default.ttl, |ttl| seconds(ttl.value())),
            }
        }),
    }
}

fn health_check(
    pool: &raw::Pool,
    table: &Table<written::HealthCheck>,
    resolver: &mut Resolver<'_>,
) -> HealthCheck {
    let default = HealthCheck::default();
    let check = &table.value;
    HealthCheck {
        kind: kind(pool, table, resolver).unwrap_or(default.kind),
        interval: millis(check.interval_ms, default.interval),
        timeout: millis(check.timeout_ms, default.timeout),
        healthy_after: check
            .healthy_after
            .map_or(default.healthy_after, scalar::Int::value),
        unhealthy_after: check
            .unhealthy_after
            .map_or(default.unhealthy_after, scalar::Int::value),
    }
}

/// The question of a check; `None` if the default is asked.
fn kind(
    pool: &raw::Pool,
    Table { value: check, place }: &Table<written::HealthCheck>,
    resolver: &mut Resolver<'_>,
) -> Option<CheckKind> {
    match check.kind.unwrap_or_default() {
        scalar::pool::CheckKind::Tcp => {
            let fault = "a check of kind \"tcp\" makes a connection and asks for nothing on it";
            refuse_question(check, fault, resolver);
            Some(CheckKind::Tcp)
        }
        scalar::pool::CheckKind::Grpc => {
            let fault = "a check of kind \"grpc\" asks grpc.health.v1.Health for the whole server";
            refuse_question(check, fault, resolver);
            let is_encrypted = |backend: &Placed<OrText<raw::Backend>>| backend.value.0.address.is_encrypted;
            let speaks_http2 = match pool.protocol.map_or(Protocol::default(), |protocol| protocol.0) {
                Protocol::Http2 => true,
                Protocol::Auto => pool.backends.value.iter().all(is_encrypted),
                Protocol::Http1 => false,
            };
            if !speaks_http2 {
                let fault = "gRPC goes over HTTP/2: a check of kind \"grpc\" needs `protocol = \"h2\"`, or backends with https://";
                resolver.report(place, Fault::Refused(fault.to_owned()));
            }
            Some(CheckKind::Grpc)
        }
        scalar::pool::CheckKind::Http => {
            let CheckKind::Http { path, expect } = HealthCheck::default().kind else {
                return None;
            };
            Some(CheckKind::Http {
                path: check.path.as_ref().map_or(path, |path| path.value.0.clone()),
                expect: check
                    .expect
                    .as_ref()
                    .map_or(expect, |expect| expect.value.0.clone()),
            })
        }
    }
}

/// Refuses the keys of a question that a check does not ask.
fn refuse_question(check: &written::HealthCheck, fault: &str, resolver: &mut Resolver<'_>) {
    let path = check.path.as_ref().map(|path| &path.place);
    let expect = check.expect.as_ref().map(|expect| &expect.place);
    for place in [path, expect].into_iter().flatten() {
        resolver.report(place, Fault::Refused(fault.to_owned()));
    }
}

fn ejection(table: &written::Ejection) -> Ejection {
    let default = Ejection::default();
    Ejection {
        failures: table.failures.map_or(default.failures, scalar::Int::value),
        time: table.for_ms.map_or(default.time, scalar::Int::millis),
        max_percent: table.max_percent.map_or(default.max_percent, scalar::Int::value),
    }
}

fn in_flight(pool: &raw::Pool, resolver: &mut Resolver<'_>) -> Option<InFlightLimit> {
    let Some(most) = pool.max_in_flight else {
        let queued = pool.max_queued.as_ref().map(|queued| &queued.place);
        let wait = pool.queue_ms.as_ref().map(|wait| &wait.place);
        for place in [queued, wait].into_iter().flatten() {
            let fault = "no request waits in a pool without `max_in_flight`";
            resolver.report(place, Fault::Refused(fault.to_owned()));
        }
        return None;
    };
    Some(InFlightLimit {
        most: most.value(),
        queued: pool
            .max_queued
            .as_ref()
            .map_or(DEFAULT_QUEUED, |queued| queued.value.value()),
        wait: millis(pool.queue_ms.as_ref().map(|wait| wait.value), DEFAULT_WAIT),
    })
}

fn millis(written: Option<Millis>, default: Duration) -> Duration {
    written.map_or(default, scalar::Int::millis)
}
