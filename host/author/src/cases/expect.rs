//! Turns expectations into a list of checks.

use std::collections::BTreeMap;

use super::check::{Check, Expectation, Side};
use super::raw;
use super::scalar::{Address, BodyEnding, FieldName};
use super::value::{Text, Texts};
use pace_config::Fault;
use pace_config::reading::{Document, Network, OrText, Place, Placed, Table};
use pace_harness::WindowKey;

/// The checks of one table `expect`, and its problems.
pub(super) struct Expected {
    pub(super) checks: Vec<Expectation>,
    /// The expectation about `configure`.
    pub(super) refusal: Option<Expectation>,
    pub(super) problems: Vec<(Place, Fault)>,
}

/// The checks of a table `expect`.
pub(super) fn expected(table: &Table<raw::Expect>, document: &Document<'_>) -> Expected {
    let mut list = List {
        document,
        checks: Vec::new(),
        problems: Vec::new(),
    };
    let raw = &table.value;
    if let Some(Placed { value, place }) = &raw.verdict {
        list.add(place, "verdict", Check::Verdict(value.value()));
    }
    if let Some(Placed { value, place }) = &raw.hook {
        list.add(place, "hook", Check::Hook(value.value()));
    }
    if let Some(Placed { value, place }) = &raw.backend {
        list.add(place, "backend", Check::Backend(value.0.clone()));
    }
    if let Some(Table { value, .. }) = &raw.request {
        list.request(value);
    }
    if let Some(Table { value, .. }) = &raw.response {
        list.response(value);
    }
    if let Some(Placed { value, place }) = &raw.pool {
        list.add(place, "pool", Check::Pool(value.0.clone()));
    }
    if let Some(Placed { value, place }) = &raw.attempts {
        list.attempts(value, place);
    }
    for (name, Placed { value, place }) in &raw.context {
        let check = Check::Context(name.clone(), value.0.clone());
        list.add(place, &format!("context.{name}"), check);
    }
    for (key, Placed { value, place }) in &raw.annotations {
        let check = Check::Annotation(key.clone(), value.0.clone());
        list.add(place, &format!("annotations.{key}"), check);
    }
    if let Some(Placed { value, place }) = &raw.log {
        let lines = value.iter().map(|OrText(text)| text.clone()).collect();
        list.add(place, "log", Check::Log(lines));
    }
    for (name, Placed { value, place }) in &raw.counters {
        let check = Check::Counter(name.clone(), *value);
        list.add(place, &format!("counters.{name}"), check);
    }
    for Table { value: raw, place } in &raw.windows {
        let key = window_key(raw.address, raw.network, raw.text.as_deref());
        match key {
            Ok(key) => {
                let check = Check::Events(raw.name.clone(), key, raw.events.value);
                list.add(
                    &raw.events.place,
                    &format!("events in window {}", raw.name),
                    check,
                );
            }
            Err(fault) => list.problems.push((place.clone(), fault)),
        }
    }
    for (table, values) in &raw.tables {
        for (key, Placed { value, place }) in values {
            let check = Check::Value(table.clone(), key.clone(), value.clone());
            list.add(place, &format!("tables.{table}.{key}"), check);
        }
    }
    for (series, Placed { value, place }) in &raw.metrics {
        let check = Check::Metric(series.clone(), *value);
        list.add(place, &format!("metrics.{series}"), check);
    }
    if let Some(Placed { value, place }) = &raw.failure {
        let reason = value.0.reason.map(|reason| reason.value());
        let message = value.0.message.as_ref().map(|text| text.0.clone());
        list.add(place, "failure", Check::Failure(reason, message));
    }
    let refusal = raw.refusal.as_ref().map(|Placed { value, place }| Expectation {
        location: document.location(place),
        key: "refusal".to_owned(),
        check: Check::Refusal(value.0.clone()),
    });
    Expected {
        checks: list.checks,
        refusal,
        problems: list.problems,
    }
}

/// The key of events: exactly one of the three must be there.
pub(super) fn window_key(
    address: Option<Address>,
    network: Option<Network>,
    text: Option<&str>,
) -> Result<WindowKey, Fault> {
    match (address, network, text) {
        (Some(address), None, None) => Ok(WindowKey::Address(address.0)),
        (None, Some(network), None) => Ok(WindowKey::Network(network.network)),
        (None, None, Some(text)) => Ok(WindowKey::Bytes(text.as_bytes().to_vec())),
        _ => Err(Fault::Refused(
            "whose events? One of `address`, `network` and `text` is needed, and no other".to_owned(),
        )),
    }
}

struct List<'a> {
    document: &'a Document<'a>,
    checks: Vec<Expectation>,
    problems: Vec<(Place, Fault)>,
}

impl List<'_> {
    fn add(&mut self, place: &Place, key: &str, check: Check) {
        self.checks.push(Expectation {
            location: self.document.location(place),
            key: key.to_owned(),
            check,
        });
    }

    fn request(&mut self, raw: &raw::ExpectRequest) {
        self.path(raw.path.as_ref());
        self.headers(Side::Request, &raw.headers, &raw.absent, raw.unchanged.as_ref());
        self.body(Side::Request, raw.body.as_ref());
        self.passage(Side::Request, raw.pieces.as_ref(), raw.ends.as_ref());
    }

    fn path(&mut self, path: Option<&Placed<OrText<Text>>>) {
        if let Some(Placed { value, place }) = path {
            self.add(place, "request.path", Check::Path(value.0.clone()));
        }
    }

    fn body(&mut self, side: Side, body: Option<&Placed<OrText<Text>>>) {
        if let Some(Placed { value, place }) = body {
            let key = format!("{}.body", side.name());
            self.add(place, &key, Check::Body(side, value.0.clone()));
        }
    }

    fn attempts(&mut self, raw: &[Table<raw::ExpectAttempt>], place: &Place) {
        self.add(place, "attempts", Check::Attempts(raw.len()));
        for (index, Table { value: raw, .. }) in raw.iter().enumerate() {
            let first = self.checks.len();
            if let Some(Placed { value, place }) = &raw.pool {
                self.add(place, "pool", Check::Pool(value.0.clone()));
            }
            if let Some(Placed { value, place }) = &raw.backend {
                self.add(place, "backend", Check::Backend(value.0.clone()));
            }
            if let Some(Placed { value, place }) = &raw.judgement {
                self.add(place, "judgement", Check::Judged(value.value()));
            }
            if let Some(Table { value: raw, .. }) = &raw.request {
                self.path(raw.path.as_ref());
                self.headers(Side::Request, &raw.headers, &raw.absent, raw.unchanged.as_ref());
                self.body(Side::Request, raw.body.as_ref());
            }
            for expectation in self.checks.split_off(first) {
                self.checks.push(Expectation {
                    key: format!("attempts[{index}].{}", expectation.key),
                    check: Check::OfAttempt(index, Box::new(expectation.check)),
                    location: expectation.location,
                });
            }
        }
    }

    fn response(&mut self, raw: &raw::ExpectResponse) {
        if let Some(Placed { value, place }) = &raw.status {
            self.add(place, "response.status", Check::Status(*value));
        }
        self.headers(Side::Response, &raw.headers, &raw.absent, raw.unchanged.as_ref());
        self.body(Side::Response, raw.body.as_ref());
        self.passage(Side::Response, raw.pieces.as_ref(), raw.ends.as_ref());
    }

    fn passage(
        &mut self,
        side: Side,
        pieces: Option<&Placed<Vec<OrText<Text>>>>,
        ends: Option<&Placed<BodyEnding>>,
    ) {
        let of = side.name();
        if let Some(Placed { value, place }) = pieces {
            let pieces = value.iter().map(|OrText(text)| text.clone()).collect();
            self.add(place, &format!("{of}.pieces"), Check::Pieces(side, pieces));
        }
        if let Some(Placed { value, place }) = ends {
            self.add(place, &format!("{of}.ends"), Check::Ends(side, value.value()));
        }
    }

    fn headers(
        &mut self,
        side: Side,
        headers: &BTreeMap<FieldName, Placed<Texts>>,
        absent: &[Placed<FieldName>],
        unchanged: Option<&Placed<bool>>,
    ) {
        let of = side.name();
        for (name, Placed { value, place }) in headers {
            let name = name.parsed();
            let key = format!("{of}.headers.{name}");
            self.add(place, &key, Check::Header(side, name, value.clone()));
        }
        for Placed { value, place } in absent {
            let name = value.parsed();
            self.add(place, &format!("{of} header {name}"), Check::Absent(side, name));
        }
        match unchanged {
            Some(Placed { value: true, place }) => self.add(place, of, Check::Unchanged(side)),
            Some(Placed { value: false, place }) => self.problems.push((
                place.clone(),
                Fault::Refused("`true` is the only value: leave it out, or say what has changed".to_owned()),
            )),
            None => {}
        }
    }
}
