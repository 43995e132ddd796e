//! The identity of a request: its id, and the trace that it belongs to.
//!
//! Both are taken from trusted proxies, and made for everybody else: a client that could name them would write into the logs and
//! traces of others.

use std::time::{SystemTime, UNIX_EPOCH};

use pace_wire::fields::TooLarge;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;

use super::context::Context;
use crate::telemetry::Notes;
use crate::telemetry::tracing::Trace;

pub(super) const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The longest id that is taken from a trusted proxy.
const LONGEST_ID: usize = 128;

/// Gives a request its id and its trace, where the configuration wants them, before any plugin sees it.
pub(super) fn identify(request: &mut RequestHead, context: &mut Context) -> Result<(), TooLarge> {
    let snapshot = &context.snapshot;
    if snapshot.request_id.is_none() && snapshot.sinks.tracer.is_none() {
        return Ok(());
    }
    let is_trusted = snapshot.trusted_proxies.contains(context.peer);
    if let Some(name) = &snapshot.request_id {
        let mut given = request.fields.get_all(name.as_str());
        let is_taken = is_trusted && given.next().is_some_and(is_id) && given.next().is_none();
        drop(given);
        if !is_taken {
            request.fields.set(name.as_str(), &uuid())?;
        }
    }
    let Some(tracer) = &snapshot.sinks.tracer else {
        return Ok(());
    };
    let mut given = request.fields.all(Known::Traceparent);
    let continued = match (is_trusted, given.next(), given.next()) {
        (true, Some(field), None) => Trace::continued(field),
        _ => None,
    };
    drop(given);
    if continued.is_none() && request.fields.has(Known::Tracestate) {
        // It belongs to the trace that is not continued.
        request.fields.remove(TRACESTATE);
    }
    let trace = continued.unwrap_or_else(|| Trace::new(tracer.draws()));
    request.fields.set(TRACEPARENT, &trace.traceparent(trace.span))?;
    context.trace = Some(trace);
    let tracer = trace.is_sampled.then(|| tracer.clone());
    if tracer.is_some() {
        context.notes.get_or_insert_with(Notes::of_trace);
    }
    context.note(|noted| (noted.trace, noted.tracer) = (Some(trace), tracer));
    Ok(())
}

/// Whether a text can be an id: visible characters of ASCII, and not too many.
fn is_id(text: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// A new UUID of version 7 (RFC 9562, section 5.7): the time in milliseconds, and 74 random bits.
fn uuid() -> [u8; 36] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    spelled((since.as_millis() & 0xffff_ffff_ffff) << 80 | fastrand::u128(..) >> 48)
}

/// The spelling of a UUID, with version and variant in their places.
fn spelled(bits: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 7 << 76 | 0b10 << 62;
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
    for (digit, place) in places.enumerate() {
        text[place] = DIGITS[(bits >> (124 - 4 * digit)) as usize & 15];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9562, appendix A.6.
    #[test]
    fn uuid_has_time_version_and_variant() {
        let time = 0x017f_22e2_79b0_u128;
        let random = 0x0cc3 << 64 | 0x18c4_dc0c_0c07_398f_u128;
        let text = spelled(time << 80 | random);
        assert_eq!(&text, b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        let (one, other) = (uuid(), uuid());
        assert_ne!(one, other);
        assert_eq!(one[14], b'7');
    }

    #[test]
    fn id_is_visible_and_short() {
        assert!(is_id(b"a-1") && is_id(&[b'x'; 128]));
        assert!(!is_id(b"") && !is_id(b"a b") && !is_id(b"\xe9") && !is_id(&[b'x'; 129]));
    }
}
