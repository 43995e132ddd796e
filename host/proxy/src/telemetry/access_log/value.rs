//! The value of each field.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::Version;
use pace_config::telemetry::LogField;
use pace_hook::Annotation;

use super::super::notes::{HookCall, Noted, Summary};
use super::super::text::Part;

/// A value in the notes of a request.
pub(super) enum Value<'a> {
    /// A text from outside, and whether it was cut.
    Text(&'a [u8], bool),
    /// A text of Pace's own, without characters that mean something in any form.
    Word(&'a str),
    Number(u64),
    Millis(Millis),
    Time(SystemTime),
    Address(IpAddr),
    /// Bytes in hexadecimal digits.
    Hex(&'a [u8]),
    Calls(&'a [HookCall]),
    Annotations(&'a [Annotation]),
}

/// A time in milliseconds, with three digits behind the point.
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(out, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

/// The values that a request has, with the names of their fields.
pub(super) fn values<'a>(
    fields: &'a [LogField],
    summary: &'a Summary,
    noted: &'a Noted,
) -> impl Iterator<Item = (&'static str, Value<'a>)> {
    let values = fields.iter().map(|field| (field, value(*field, summary, noted)));
    values.filter_map(|(field, value)| Some((field.name(), value?)))
}

/// The value of a field; `None` if the request has none.
fn value<'a>(field: LogField, summary: &'a Summary, noted: &'a Noted) -> Option<Value<'a>> {
    let part = |part| {
        let (text, is_cut) = summary.text.part(part)?;
        Some(Value::Text(text, is_cut))
    };
    match field {
        LogField::Time => Some(Value::Time(summary.time)),
        LogField::Id => part(Part::Id),
        LogField::Trace => noted.trace.as_ref().map(|trace| Value::Hex(&trace.id)),
        LogField::Client => Some(Value::Address(summary.client)),
        LogField::Method => part(Part::Method),
        LogField::Scheme => Some(Value::Word(summary.scheme)),
        LogField::Host => part(Part::Host),
        LogField::Path => part(Part::Path),
        LogField::Query => part(Part::Query),
        LogField::Protocol => Some(Value::Word(protocol(summary.version))),
        LogField::Status => Some(Value::Number(summary.status.into())),
        LogField::End => Some(Value::Word(summary.end.name())),
        LogField::Refused => summary.refused.map(Value::Word),
        LogField::BytesReceived => Some(Value::Number(summary.received)),
        LogField::BytesSent => Some(Value::Number(summary.sent)),
        LogField::Duration => Some(millis(summary.duration)),
        LogField::Queue => (!noted.queue.is_zero()).then_some(millis(noted.queue)),
        LogField::Connect => {
            let times = noted.attempts.iter().filter_map(|attempt| attempt.connect);
            let all: Duration = times.sum();
            (!all.is_zero()).then_some(millis(all))
        }
        LogField::FirstByte => summary.first_byte.map(millis),
        LogField::Route => part(Part::Route),
        LogField::Pool => part(Part::Pool),
        LogField::Backend => part(Part::Backend),
        LogField::Attempts => Some(Value::Number(summary.attempts.into())),
        LogField::Failure => {
            let mut failures = noted.attempts.iter().filter_map(|attempt| attempt.failed);
            failures
                .next_back()
                .map(|(_, failure)| Value::Word(failure.name()))
        }
        LogField::TlsVersion => summary.tls.as_ref().map(|tls| Value::Word(tls.version.name())),
        LogField::TlsCipher => summary.tls.as_ref().map(|tls| Value::Word(tls.cipher)),
        LogField::TlsName => {
            let name = summary.tls.as_ref()?.server_name.as_deref()?;
            Some(Value::Text(name.as_bytes(), false))
        }
        LogField::UserAgent => part(Part::UserAgent),
        LogField::Referrer => part(Part::Referrer),
        LogField::Plugins => (!noted.calls.is_empty()).then_some(Value::Calls(&noted.calls)),
        LogField::Annotations => {
            let annotations = &noted.annotations;
            (!annotations.is_empty()).then_some(Value::Annotations(annotations))
        }
    }
}

fn millis(time: Duration) -> Value<'static> {
    Value::Millis(Millis(time))
}

/// The name of a version of HTTP, as it is written.
pub(in crate::telemetry) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The mark behind a text that was cut.
pub(super) const CUT: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millis_have_three_digits() {
        assert_eq!(Millis(Duration::from_micros(12_045)).to_string(), "12.045");
    }
}
