//! Merges the requests, pools and responses of a file's several tables.

use http::header::HeaderMap;
use std::collections::BTreeMap;

use super::raw;
use super::scalar::{FieldName, HookName, LastFailure};
use pace_config::Fault;
use pace_config::reading::{OrText, Place, Placed, Table};
use pace_harness::{Backend, End, Exchange, Pool, Request, Response};

/// The keys of a case or a step that override its exchange.
#[derive(Default)]
pub(super) struct ExchangeOverrides<'a> {
    pub(super) request: Option<&'a Table<raw::Request>>,
    pub(super) pool: Option<&'a Table<raw::Pool>>,
    pub(super) attempt: Option<raw::Attempt>,
    pub(super) tried: Option<&'a [Placed<String>]>,
    pub(super) last_failure: Option<LastFailure>,
    pub(super) response: Option<&'a Table<raw::Response>>,
    pub(super) outcome: Option<&'a Table<raw::End>>,
    pub(super) hook: Option<&'a Placed<HookName>>,
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
            tried: raw.tried.as_deref(),
            last_failure: raw.last_failure.as_ref().map(|OrText(failure)| *failure),
            response: raw.response.as_ref(),
            outcome: raw.outcome.as_ref(),
            hook: raw.hook.as_ref(),
        }
    }
}

impl<'a> From<&'a raw::Step> for ExchangeOverrides<'a> {
    fn from(raw: &'a raw::Step) -> Self {
        ExchangeOverrides {
            request: raw.request.as_ref(),
            pool: raw.pool.as_ref(),
            attempt: raw.attempt,
            tried: raw.tried.as_deref(),
            last_failure: raw.last_failure.as_ref().map(|OrText(failure)| *failure),
            response: raw.response.as_ref(),
            outcome: raw.outcome.as_ref(),
            hook: raw.hook.as_ref(),
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
            response(value, &mut exchange.response);
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
        if let Some(failure) = self.last_failure {
            exchange.pool.last_failure = Some(failure.0);
        }
        if let Some(Placed { value, place }) = self.hook {
            let hook = value.value();
            match Exchange::calls(hook) {
                true => exchange.hook = Some(hook),
                false => {
                    let name = hook.name();
                    let fault = format!(
                        "a case calls no stream filter, so it would pass whatever `{name}` does; `pace plugin bench` calls it"
                    );
                    problems.push((place.clone(), Fault::Refused(fault)));
                }
            }
        }
        if let Some(tried) = self.tried {
            problems.extend(try_backends(tried, &mut exchange.pool.backends));
        }
        problems
    }
}

fn request(raw: &raw::Request, request: &mut Request) -> Option<(Place, Fault)> {
    if let Some(method) = &raw.method {
        request.method = method.0.clone();
    }
    if let Some(target) = &raw.path {
        request.set_target(&target.0);
    }
    if let Some(client) = raw.client {
        request.client = client.0;
    }
    if let Some(body) = &raw.body {
        request.body = body.clone().into();
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
        return (request.certificate.is_some() && !request.https).then(|| {
            let fault = "a certificate is shown with TLS only: `scheme` is \"https\" then";
            (place.clone(), Fault::Refused(fault.to_owned()))
        });
    }
    None
}

fn response(raw: &raw::Response, response: &mut Response) {
    if let Some(status) = raw.status {
        let status = u16::try_from(status.value()).expect("it is at most 599");
        response.status = http::StatusCode::from_u16(status).expect("200 to 599 are statuses");
    }
    headers(&raw.headers, &mut response.headers);
    if let Some(body) = &raw.body {
        response.body = Some(body.clone().into());
    }
}

fn end(raw: &raw::End, end: &mut End) {
    if let Some(ending) = raw.ending {
        end.ending = ending.value();
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
