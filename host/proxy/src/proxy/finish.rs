//! Counts a request that is over, and tells of it.

use std::time::{Duration, Instant, SystemTime};

use pace_config::telemetry::LogField;
use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use super::context::Context;
use super::outcome;
use super::{CLIENT_CLOSED_REQUEST, Proxy};
use crate::http1::Arrival;
use crate::telemetry::notes::{End, Summary};
use crate::telemetry::text::{Part, Text};
use crate::telemetry::{Notes, access_log, hook_log, tracing};

impl Proxy {
    /// Counts a request that is over, whether it was answered or not, and tells of it.
    pub(super) fn finished(&self, arrival: &Arrival, request: &RequestHead, context: &Context) {
        outcome::tell(request, context);
        let duration = context.started.elapsed();
        let (status, end) = match context.status {
            Some(status) => (status, context.end),
            None => (CLIENT_CLOSED_REQUEST.as_u16(), End::Client),
        };
        let metrics = &self.shared.metrics;
        metrics.request_finished(request.method.as_str(), status, duration);
        metrics.spoken(request.version);
        if context.status.is_some() && end != End::Complete {
            metrics.response_cut(end);
        }
        if let Some(refusal) = context.refused {
            metrics.refused(refusal);
        }
        if let Some(metrics) = context.route_metrics() {
            metrics.finished(status, duration, (context.received, context.body_bytes));
        }
        let Some(notes) = &context.notes else { return };
        if hook_log::is_on() {
            let (method, target) = (request.method.as_str(), request.sent_target());
            notes.with(|noted| hook_log::write(&noted.calls, method, target, status));
        }
        let is_traced = notes.is_traced();
        if !is_traced && !notes.has_line(status) {
            return;
        }
        let text = text(request, context, |field| is_traced || notes.wants(field));
        notes.with(|noted| {
            noted.annotations = context.state.take_annotations();
            noted.summary = Some(Summary {
                begun: context.started,
                time: SystemTime::now() - duration,
                duration,
                first_byte: context.first_byte,
                client: context.client,
                scheme: context.scheme,
                version: request.version,
                tls: arrival.tls.clone(),
                status,
                end,
                refused: context.refused.map(Refusal::name),
                received: context.received,
                sent: context.body_bytes,
                attempts: context.attempt,
                text,
            });
        });
        access_log::tell(notes, status);
        tracing::tell(notes);
    }

    /// Counts a request that was refused before its head could be read, and tells of it.
    pub(super) fn refused_unread(&self, arrival: &Arrival, refusal: Refusal) {
        let metrics = &self.shared.metrics;
        metrics.refused(refusal);
        metrics.request_finished("-", refusal.status(), Duration::ZERO);
        metrics.spoken(http::Version::HTTP_2);
        let Some(notes) = Notes::begin(self.snapshot.load().sinks.access_log.as_ref()) else {
            return;
        };
        notes.with(|noted| {
            noted.summary = Some(Summary {
                begun: Instant::now(),
                time: SystemTime::now(),
                duration: Duration::ZERO,
                first_byte: None,
                client: arrival.peer,
                scheme: arrival.scheme(),
                version: http::Version::HTTP_2,
                tls: arrival.tls.clone(),
                status: refusal.status(),
                end: End::Complete,
                refused: Some(refusal.name()),
                received: 0,
                sent: 0,
                attempts: 0,
                text: Text::default(),
            });
        });
        access_log::tell(&notes, refusal.status());
    }
}

/// Copies the texts of a request that somebody is told: those of the fields for which `is_told` is true.
fn text(request: &RequestHead, context: &Context, is_told: impl Fn(LogField) -> bool) -> Text {
    let mut text = Text::new();
    let mut add = |field, part, value: Option<&[u8]>| {
        if let Some(value) = value
            && is_told(field)
        {
            text.add(part, value);
        }
    };
    let fields = &request.fields;
    let id = context.snapshot.request_id.as_ref();
    let target = request.sent_target();
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    };
    // Where the target could not be read, neither could the method.
    let is_read = !target.is_empty();
    add(
        LogField::Id,
        Part::Id,
        id.and_then(|name| fields.get(name.as_str())),
    );
    add(
        LogField::Method,
        Part::Method,
        is_read.then_some(request.method.as_str().as_bytes()),
    );
    add(
        LogField::Host,
        Part::Host,
        request.sent_authority().or_else(|| fields.first(Known::Host)),
    );
    add(LogField::Path, Part::Path, is_read.then_some(path));
    add(LogField::Query, Part::Query, query);
    add(
        LogField::UserAgent,
        Part::UserAgent,
        fields.first(Known::UserAgent),
    );
    add(LogField::Referrer, Part::Referrer, fields.first(Known::Referer));
    let route = context.route.as_ref();
    add(
        LogField::Route,
        Part::Route,
        route.map(|route| route.name.as_bytes()),
    );
    let pool = route
        .filter(|_| context.attempt > 0)
        .map(|_| context.begun_pool());
    add(LogField::Pool, Part::Pool, pool.map(|pool| pool.name.as_bytes()));
    add(
        LogField::Backend,
        Part::Backend,
        context.last_backend().map(str::as_bytes),
    );
    text
}
