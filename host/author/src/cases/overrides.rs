//! Merges the requests, pools and responses of a file's several tables.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;

use super::raw;
use super::scalar::{FieldName, HookName, LastFailure};
use pace_config::Fault;
use pace_config::reading::{OrText, Place, Placed, Table};
use pace_harness::{Arrival, Backend, Brought, End, Exchange, Pool, Request, Response};

/// The keys of a case or a step that override its exchange.
#[derive(Default)]
pub(super) struct ExchangeOverrides<'a> {
    pub(super) request: Option<&'a Table<raw::Request>>,
    pub(super) pool: Option<&'a Table<raw::Pool>>,
    pub(super) attempt: Option<raw::Attempt>,
    pub(super) attempts: Option<&'a [OrText<raw::Brought>]>,
    pub(super) tried: Option<&'a [Placed<String>]>,
    pub(super) last_failure: Option<LastFailure>,
    pub(super) response: Option<&'a Table<raw::Response>>,
    pub(super) outcome: Option<&'a Table<raw::End>>,
    pub(super) hook: Option<HookName>,
}

impl<'a> From<&'a raw::Defaults> for ExchangeOverrides<'a> {
    fn from(raw: &'a raw::Defaults) -> Self {
        ExchangeOverrides {
            request: raw.request.as_ref(),
            pool: raw.pool.as_ref(),
            response: raw.response.as_ref(),
            outcome: raw.outcome.as_ref(),
            ..ExchangeOverrides::default()
        }
    }
}

impl<'a> From<&'a raw::Case> for ExchangeOverrides<'a> {
    fn from(raw: &'a raw::Case) -> Self {
        ExchangeOverrides {
            request: raw.request.as_ref(),
            pool: raw.pool.as_ref(),
            attempt: raw.attempt,
            attempts: raw.attempts.as_deref(),
            tried: raw.tried.as_deref(),
            last_failure: raw.last_failure.as_ref().map(|OrText(failure)| *failure),
            response: raw.response.as_ref(),
            outcome: raw.outcome.as_ref(),
            hook: raw.hook,
        }
    }
}

impl<'a> From<&'a raw::Step> for ExchangeOverrides<'a> {
    fn from(raw: &'a raw::Step) -> Self {
        ExchangeOverrides {
            request: raw.request.as_ref(),
            pool: raw.pool.as_ref(),
            attempt: raw.attempt,
            attempts: raw.attempts.as_deref(),
            tried: raw.tried.as_deref(),
            last_failure: raw.last_failure.as_ref().map(|OrText(failure)| *failure),
            response: raw.response.as_ref(),
            outcome: raw.outcome.as_ref(),
            hook: raw.hook,
        }
    }
}

impl ExchangeOverrides<'_> {
    /// Overrides parts of an exchange. Returns the problems.
    pub(super) fn apply(&self, exchange: &mut Exchange) -> Vec<(Place, Fault)> {
        let mut problems = Vec::new();
        if let Some(Table { value, .. }) = self.request {
            problems.extend(request(value, &mut exchange.request));
        }
        if let Some(Table { value, .. }) = self.response {
            problems.extend(response(value, &mut exchange.response));
        }
        if let Some(Table { value, .. }) = self.outcome {
            end(value, &mut exchange.end);
        }
        if let Some(Table { value, .. }) = self.pool {
            problems.extend(pool(value, &mut exchange.pool));
        }
        if let Some(attempt) = self.attempt {
            exchange.attempt = attempt.value();
        }
        if let Some(attempts) = self.attempts {
            exchange.attempts.clear();
            for OrText(raw) in attempts {
                let (brought, problem) = brought(raw, &exchange.response);
                exchange.attempts.push(brought);
                problems.extend(problem);
            }
        }
        if let Some(failure) = self.last_failure {
            exchange.pool.last_failure = Some(failure.0);
        }
        if let Some(hook) = self.hook {
            exchange.hook = Some(hook.value());
        }
        if let Some(tried) = self.tried {
            problems.extend(try_backends(tried, &mut exchange.pool.backends));
        }
        problems
    }
}

fn request(raw: &raw::Request, request: &mut Request) -> Vec<(Place, Fault)> {
    let mut problems = Vec::new();
    if let Some(method) = &raw.method {
        request.method = method.0.clone();
    }
    if let Some(target) = &raw.path {
        request.set_target(&target.0);
    }
    if let Some(client) = raw.client {
        request.client = client.0;
    }
    let (body, problem) = body(raw.body.as_ref(), raw.pieces.as_ref(), &mut request.arrival);
    problems.extend(problem);
    if let Some(body) = body {
        request.body = body;
    }
    if let Some(ends) = raw.ends {
        request.arrival.ending = ends.value();
    }
    if let Some(peer) = raw.trusted_peer {
        request.trusted_peer = Some(peer.0);
    }
    if let Some(version) = raw.version {
        request.version = version.name();
    }
    if let Some(route) = &raw.route {
        request.route.clone_from(route);
    }
    if let Some(pools) = &raw.pools {
        request.pools.clone_from(pools);
    }
    if let Some(scheme) = raw.scheme {
        request.https = scheme.https;
        request.certificate = request.certificate.take().filter(|_| scheme.https);
    }
    headers(&raw.headers, &mut request.headers);
    if let Some(Placed { value, place }) = &raw.client_certificate {
        request.certificate = value.0.told();
        // One is shown in a handshake, so nothing more need be said.
        request.https |= request.certificate.is_some() && raw.scheme.is_none();
        if request.certificate.is_some() && !request.https {
            let fault = "a certificate is shown with TLS only: `scheme` is \"https\" then";
            problems.push((place.clone(), Fault::Refused(fault.to_owned())));
        }
    }
    problems
}

/// The body that is written as a whole or in pieces, if one is, and what is wrong with it.
fn body(
    whole: Option<&String>,
    pieces: Option<&Placed<Vec<String>>>,
    arrival: &mut Arrival,
) -> (Option<Bytes>, Option<(Place, Fault)>) {
    match (whole, pieces) {
        (None, None) => (None, None),
        (Some(whole), None) => {
            arrival.pieces = None;
            (Some(whole.clone().into()), None)
        }
        (whole, Some(Placed { value, place })) => {
            arrival.pieces = Some(value.iter().map(String::len).collect());
            let fault = "the pieces are the body: leave `body` out".to_owned();
            let problem = whole.map(|_| (place.clone(), Fault::Refused(fault)));
            (Some(value.concat().into()), problem)
        }
    }
}

/// What an attempt brings, and what is wrong with it.
fn brought(raw: &raw::Brought, default: &Response) -> (Brought, Option<(Place, Fault)>) {
    let after = raw.after_ms.map_or(Duration::ZERO, |after| after.0);
    let mut came = default.clone();
    let mut problem = None;
    if let Some(Table { value, .. }) = &raw.response {
        problem = response(value, &mut came);
    }
    let result = match &raw.failure {
        Some(Placed { value, place }) => {
            if raw.response.is_some() {
                let fault = "an attempt that fails brings no response: one of the two".to_owned();
                problem = Some((place.clone(), Fault::Refused(fault)));
            }
            Err(value.value())
        }
        None => Ok(came),
    };
    (Brought { result, after }, problem)
}

fn response(raw: &raw::Response, response: &mut Response) -> Option<(Place, Fault)> {
    if let Some(status) = raw.status {
        let status = u16::try_from(status.value()).expect("it is at most 599");
        response.status = http::StatusCode::from_u16(status).expect("200 to 599 are statuses");
    }
    headers(&raw.headers, &mut response.headers);
    if let Some(ends) = raw.ends {
        response.arrival.ending = ends.value();
    }
    let (body, problem) = body(raw.body.as_ref(), raw.pieces.as_ref(), &mut response.arrival);
    if let Some(body) = body {
        response.body = Some(body);
    }
    problem
}

fn end(raw: &raw::End, end: &mut End) {
    if let Some(ending) = raw.ending {
        end.ending = Some(ending.value());
    }
    end.request_bytes = raw.request_bytes.unwrap_or(end.request_bytes);
    end.response_bytes = raw.response_bytes.unwrap_or(end.response_bytes);
    for (raw, time) in [
        (raw.total_ms, &mut end.total),
        (raw.queue_ms, &mut end.queue),
        (raw.connect_ms, &mut end.connect),
        (raw.first_byte_ms, &mut end.first_byte),
    ] {
        *time = raw.map_or(*time, |written| written.0);
    }
}

fn headers(raw: &BTreeMap<FieldName, raw::FieldValues>, headers: &mut HeaderMap) {
    for (name, values) in raw {
        let name = name.parsed();
        headers.remove(&name);
        for value in &values.0 {
            headers.append(name.clone(), value.0.clone());
        }
    }
}

fn pool(raw: &raw::Pool, pool: &mut Pool) -> Option<(Place, Fault)> {
    if let Some(name) = &raw.name {
        pool.name.clone_from(name);
    }
    let backends = raw.backends.as_ref()?;
    if backends.value.is_empty() {
        return Some((backends.place.clone(), Fault::EmptyPool));
    }
    pool.backends = backends
        .value
        .iter()
        .map(|OrText(raw)| Backend {
            address: raw.address.clone(),
            weight: raw.weight.map_or(1, |weight| weight.value()),
            health: raw
                .health
                .map_or(pace_hook::Health::Healthy, |health| health.value()),
            in_flight: raw.in_flight.map_or(0, |requests| requests.value()),
            latency: raw.latency_ms.map(|latency| latency.0),
            tried: false,
        })
        .collect();
    None
}

fn try_backends(tried: &[Placed<String>], backends: &mut [Backend]) -> Vec<(Place, Fault)> {
    for backend in &mut *backends {
        backend.tried = false;
    }
    let mut problems = Vec::new();
    for Placed { value, place } in tried {
        match backends.iter_mut().find(|backend| backend.address == *value) {
            Some(backend) => backend.tried = true,
            None => problems.push((
                place.clone(),
                Fault::UnknownName {
                    kind: "backend",
                    name: value.clone(),
                    defined: backends.iter().map(|backend| backend.address.clone()).collect(),
                },
            )),
        }
    }
    problems
}
