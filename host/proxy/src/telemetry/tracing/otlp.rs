//! Spans as OTLP/JSON (opentelemetry-proto 1.5), with the attributes of the semantic conventions for HTTP.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pace_hook::{Annotation, AttemptFailure};

use super::super::access_log::{json_string, protocol};
use super::super::methods::known_method;
use super::super::notes::{AttemptNote, HookCall, Noted, Said, Summary};
use super::super::text::Part;
use super::Tracer;
use super::context::{SpanId, Trace};
use crate::telemetry::hex;

/// A batch of spans that is written.
pub(super) struct Batch {
    body: Vec<u8>,
    /// The number of spans.
    pub(super) spans: u64,
}

/// The kinds of spans, and the status of one that failed.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const FAILED: &str = ",\"status\":{\"code\":2}";

const END: &[u8] = b"]}]}]}";

impl Batch {
    pub(super) fn new(tracer: &Tracer) -> Batch {
        let mut body = Vec::with_capacity(64 << 10);
        body.extend_from_slice(b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
        attribute(
            &mut body,
            true,
            "service.name",
            &Attribute::Text(tracer.settings.service.as_bytes()),
        );
        attribute(
            &mut body,
            false,
            "service.version",
            &Attribute::Text(VERSION.as_bytes()),
        );
        let _ = write!(
            body,
            "]}},\"scopeSpans\":[{{\"scope\":{{\"name\":\"pace\",\"version\":\"{VERSION}\"}},\"spans\":["
        );
        Batch { body, spans: 0 }
    }

    /// The bytes so far.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The batch as the body of a request.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.body.extend_from_slice(END);
        self.body
    }

    /// Adds the spans of a request.
    pub(super) fn add(&mut self, noted: &Noted) {
        let (Some(trace), Some(summary)) = (&noted.trace, &noted.summary) else {
            return;
        };
        let of = Of { trace, summary };
        self.request(&of, noted);
        for (index, attempt) in noted.attempts.iter().enumerate() {
            self.attempt(&of, attempt, index, index + 1 == noted.attempts.len());
        }
        for call in &noted.calls {
            self.call(&of, call);
        }
    }

    fn request(&mut self, of: &Of<'_>, noted: &Noted) {
        let Of { trace, summary } = of;
        let method = known_method(of.text(Part::Method));
        let name = match summary.text.part(Part::Route) {
            Some((route, _)) => [method.unwrap_or("HTTP").as_bytes(), b" ", route].concat(),
            None => method.unwrap_or("HTTP").as_bytes().to_vec(),
        };
        let span = Span {
            id: trace.span,
            parent: trace.parent,
            kind: SERVER,
            name: &name,
            begin: summary.time,
            end: summary.time + summary.duration,
        };
        let client = summary.client.to_string();
        let mut all = Attributes::new();
        all.add(
            "http.request.method",
            Attribute::Text(method.unwrap_or("_OTHER").as_bytes()),
        );
        if method.is_none() {
            all.add(
                "http.request.method_original",
                Attribute::Text(of.text(Part::Method)),
            );
        }
        all.add(
            "http.response.status_code",
            Attribute::Number(summary.status.into()),
        );
        all.add("url.scheme", Attribute::Text(summary.scheme.as_bytes()));
        all.add("url.path", Attribute::Text(of.text(Part::Path)));
        all.add(
            "network.protocol.version",
            Attribute::Text(protocol(summary.version).trim_start_matches("HTTP/").as_bytes()),
        );
        all.add("client.address", Attribute::Text(client.as_bytes()));
        all.add("http.request.body.size", Attribute::Number(summary.received));
        all.add("http.response.body.size", Attribute::Number(summary.sent));
        for (name, part) in [
            ("server.address", Part::Host),
            ("user_agent.original", Part::UserAgent),
            ("pace.request_id", Part::Id),
            ("pace.route", Part::Route),
            ("pace.pool", Part::Pool),
        ] {
            if let Some((text, _)) = summary.text.part(part) {
                all.add(name, Attribute::Text(text));
            }
        }
        all.add("pace.end", Attribute::Text(summary.end.name().as_bytes()));
        if !noted.queue.is_zero() {
            all.add("pace.queue_ms", Attribute::Number(millis(noted.queue)));
        }
        for Annotation { plugin, key, value } in &noted.annotations {
            all.add(&format!("{plugin}.{key}"), Attribute::Text(value.as_bytes()));
        }
        let has_failed = summary.status >= 500;
        if has_failed {
            let status = summary.status.to_string();
            all.add("error.type", Attribute::Text(status.as_bytes()));
        }
        self.span(trace, &span, &all, has_failed);
    }

    fn attempt(&mut self, of: &Of<'_>, attempt: &AttemptNote, index: usize, is_last: bool) {
        let Of { trace, summary } = of;
        let method = known_method(of.text(Part::Method)).unwrap_or("HTTP");
        let begin = of.at(attempt.begun);
        let span = Span {
            id: attempt.span,
            parent: Some(trace.span),
            kind: CLIENT,
            name: method.as_bytes(),
            begin,
            end: match attempt.failed {
                Some((time, _)) => begin + time,
                None => summary.time + summary.duration,
            },
        };
        let (host, port) = attempt
            .backend
            .label
            .rsplit_once(':')
            .unwrap_or((&attempt.backend.label, ""));
        let mut all = Attributes::new();
        all.add("server.address", Attribute::Text(host.as_bytes()));
        if let Ok(port) = port.parse::<u16>() {
            all.add("server.port", Attribute::Number(port.into()));
        }
        all.add("pace.backend", Attribute::Text(attempt.backend.label.as_bytes()));
        if index > 0 {
            all.add("http.request.resend_count", Attribute::Number(index as u64));
        }
        if let Some(connect) = attempt.connect {
            all.add("pace.connect_ms", Attribute::Number(millis(connect)));
        }
        if let Some(head) = attempt.head {
            all.add("pace.first_byte_ms", Attribute::Number(millis(head)));
        }
        let status = match attempt.failed {
            Some((_, AttemptFailure::Status(status))) => Some(status),
            Some(_) => None,
            None => (is_last && attempt.head.is_some()).then_some(summary.status),
        };
        if let Some(status) = status {
            all.add("http.response.status_code", Attribute::Number(status.into()));
        }
        if let Some((_, failure)) = attempt.failed {
            all.add("error.type", Attribute::Text(failure.name().as_bytes()));
        }
        self.span(trace, &span, &all, attempt.failed.is_some());
    }

    fn call(&mut self, of: &Of<'_>, call: &HookCall) {
        let begin = of.at(call.begun);
        let name = format!("{} {}", call.plugin, call.hook.name());
        let span = Span {
            id: Trace::new_span(),
            parent: Some(of.trace.span),
            kind: INTERNAL,
            name: name.as_bytes(),
            begin,
            end: begin + call.time,
        };
        let mut all = Attributes::new();
        all.add("pace.plugin", Attribute::Text(call.plugin.as_bytes()));
        all.add("pace.hook", Attribute::Text(call.hook.name().as_bytes()));
        all.add("pace.verdict", Attribute::Text(call.said.name().as_bytes()));
        match call.said {
            Said::Respond(status) => all.add("pace.status", Attribute::Number(status.into())),
            Said::Failed(reason, _) => all.add("error.type", Attribute::Text(reason.name().as_bytes())),
            Said::Next | Said::Pick | Said::Pass | Said::Accept | Said::Retry | Said::Done => {}
        }
        self.span(of.trace, &span, &all, matches!(call.said, Said::Failed(..)));
    }

    /// Writing into a vector does not fail.
    fn span(&mut self, trace: &Trace, span: &Span<'_>, attributes: &Attributes, has_failed: bool) {
        let out = &mut self.body;
        if self.spans > 0 {
            out.push(b',');
        }
        self.spans += 1;
        out.extend_from_slice(b"{\"traceId\":\"");
        hex::push(out, &trace.id);
        out.extend_from_slice(b"\",\"spanId\":\"");
        hex::push(out, &span.id);
        if let Some(parent) = span.parent {
            out.extend_from_slice(b"\",\"parentSpanId\":\"");
            hex::push(out, &parent);
        }
        out.extend_from_slice(b"\",\"name\":");
        json_string(out, span.name, false);
        let _ = write!(
            out,
            ",\"kind\":{},\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",\"attributes\":[",
            span.kind,
            nanos(span.begin),
            nanos(span.end),
        );
        out.extend_from_slice(&attributes.0);
        out.push(b']');
        if has_failed {
            out.extend_from_slice(FAILED.as_bytes());
        }
        out.push(b'}');
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The request that spans are about.
struct Of<'a> {
    trace: &'a Trace,
    summary: &'a Summary,
}

impl Of<'_> {
    /// A text of the request; empty if it has none.
    fn text(&self, part: Part) -> &[u8] {
        self.summary.text.part(part).map_or(&b""[..], |(text, _)| text)
    }

    /// A moment of the request by the clock on the wall.
    fn at(&self, moment: Instant) -> SystemTime {
        self.summary.time + moment.saturating_duration_since(self.summary.begun)
    }
}

struct Span<'a> {
    id: SpanId,
    parent: Option<SpanId>,
    kind: u8,
    name: &'a [u8],
    begin: SystemTime,
    end: SystemTime,
}

enum Attribute<'a> {
    Text(&'a [u8]),
    Number(u64),
}

/// Attributes that are written.
struct Attributes(Vec<u8>);

impl Attributes {
    fn new() -> Attributes {
        Attributes(Vec::with_capacity(1024))
    }

    fn add(&mut self, name: &str, value: Attribute<'_>) {
        let is_first = self.0.is_empty();
        attribute(&mut self.0, is_first, name, &value);
    }
}

fn attribute(out: &mut Vec<u8>, is_first: bool, name: &str, value: &Attribute<'_>) {
    if !is_first {
        out.push(b',');
    }
    let _ = write!(out, "{{\"key\":\"{name}\",\"value\":{{");
    match value {
        Attribute::Text(text) => {
            out.extend_from_slice(b"\"stringValue\":");
            json_string(out, text, false);
        }
        // Numbers of 64 bits are texts in the JSON of protocol buffers.
        Attribute::Number(number) => {
            let _ = write!(out, "\"intValue\":\"{number}\"");
        }
    }
    out.extend_from_slice(b"}}");
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
