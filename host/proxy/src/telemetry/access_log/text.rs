//! A line as `name=value` pairs. A value that could be taken for more than one is quoted.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use pace_base::escape::{Quoted, is_visible};
use pace_config::telemetry::LogField;

use super::super::notes::{HookCall, Noted, Said, Summary};
use super::value::{CUT, Value, value};
use crate::telemetry::clock::Clock;

/// Appends the line of a request, without its end.
pub(super) fn write(
    out: &mut Vec<u8>,
    fields: &[LogField],
    summary: &Summary,
    noted: &Noted,
    clock: &mut Clock,
) {
    let mut separator: &[u8] = b"";
    for field in fields {
        let Some(value) = value(*field, summary, noted) else {
            continue;
        };
        out.extend_from_slice(separator);
        separator = b" ";
        out.extend_from_slice(field.name().as_bytes());
        out.push(b'=');
        write_value(out, &value, clock);
    }
}

/// Writing into a vector does not fail.
fn write_value(out: &mut Vec<u8>, value: &Value<'_>, clock: &mut Clock) {
    let _ = match value {
        Value::Number(number) => write!(out, "{number}"),
        Value::Millis(time) => write!(out, "{}", Millis(*time)),
        Value::Address(address) => write!(out, "{address}"),
        Value::Word(word) => write!(out, "{word}"),
        Value::Hex(bytes) => {
            hex(out, bytes);
            Ok(())
        }
        Value::Time(time) => {
            clock.write(out, *time);
            Ok(())
        }
        Value::Text(text, is_cut) => {
            string(out, text, *is_cut);
            Ok(())
        }
        Value::Calls(calls) => {
            out.push(b'"');
            write_calls(out, calls);
            out.push(b'"');
            Ok(())
        }
    };
}

/// The names of plugins have no quotes.
fn write_calls(out: &mut Vec<u8>, calls: &[HookCall]) {
    for (index, call) in calls.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        let time = Millis(call.time);
        let (plugin, hook) = (&call.plugin, call.hook.name());
        let _ = write!(out, "{plugin} {hook}: ");
        let _ = match call.said {
            Said::Next => write!(out, "next {time}"),
            Said::Respond(status) => write!(out, "respond {status} {time}"),
            Said::Pick(_) => write!(out, "pick {time}"),
            Said::Pass => write!(out, "pass {time}"),
            Said::Failed(reason, _) => write!(out, "failed {} {time}", reason.name()),
        };
    }
}

fn string(out: &mut Vec<u8>, text: &[u8], is_cut: bool) {
    let is_plain = |c: char| is_visible(c) && !matches!(c, ' ' | '"' | '\\' | '=');
    let plain = std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.is_empty() && text.chars().all(is_plain));
    match (plain, is_cut) {
        (Some(plain), false) => out.extend_from_slice(plain.as_bytes()),
        (Some(plain), true) => {
            let _ = write!(out, "{plain}{CUT}");
        }
        (None, false) => {
            let _ = write!(out, "{}", Quoted(text));
        }
        (None, true) => {
            let _ = write!(out, "{}", Quoted(text));
            out.pop();
            let _ = write!(out, "{CUT}\"");
        }
    }
}

/// Appends bytes in hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// A time in milliseconds, with three digits behind the point.
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(out, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_where_it_could_be_taken_for_more() {
        let shown = |text: &[u8], is_cut| {
            let mut out = Vec::new();
            string(&mut out, text, is_cut);
            String::from_utf8(out).expect("it is UTF-8")
        };
        assert_eq!(shown(b"/a%20b", false), "/a%20b");
        assert_eq!(shown("/grün".as_bytes(), true), "/grün…");
        assert_eq!(shown(b"a b", true), "\"a b…\"");
        assert_eq!(shown(b"", false), "\"\"");
        assert_eq!(shown(b"a status=200", false), "\"a status=200\"");
        assert_eq!(shown(b"\" status=\"\n\xff", false), r#""\" status=\"\n\xff""#);
    }

    #[test]
    fn millis_have_three_digits() {
        assert_eq!(Millis(Duration::from_micros(12_045)).to_string(), "12.045");
    }
}
