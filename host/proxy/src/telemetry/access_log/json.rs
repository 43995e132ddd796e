//! A line as an object of JSON, in which nobody can forge anything: invisible characters are escaped too.

use std::io::Write;

use pace_base::escape::is_visible;
use pace_config::telemetry::LogField;
use pace_hook::Annotation;

use super::super::notes::{HookCall, Noted, Said, Summary};
use super::value::{CUT, Millis, Value, values};
use crate::telemetry::clock::Clock;
use crate::telemetry::hex;

/// Appends the line of a request, without its end.
pub(super) fn write(
    out: &mut Vec<u8>,
    fields: &[LogField],
    summary: &Summary,
    noted: &Noted,
    clock: &mut Clock,
) {
    out.push(b'{');
    for (index, (name, value)) in values(fields, summary, noted).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(out, &value, clock);
    }
    out.push(b'}');
}

/// Writing into a vector does not fail.
fn write_value(out: &mut Vec<u8>, value: &Value<'_>, clock: &mut Clock) {
    let _ = match value {
        Value::Number(number) => write!(out, "{number}"),
        Value::Millis(time) => write!(out, "{time}"),
        Value::Address(address) => write!(out, "\"{address}\""),
        Value::Word(word) => write!(out, "\"{word}\""),
        Value::Hex(bytes) => {
            out.push(b'"');
            hex::push(out, bytes);
            out.push(b'"');
            Ok(())
        }
        Value::Time(time) => {
            out.push(b'"');
            clock.write(out, *time);
            out.push(b'"');
            Ok(())
        }
        Value::Text(text, is_cut) => {
            string(out, text, *is_cut);
            Ok(())
        }
        Value::Calls(calls) => {
            write_calls(out, calls);
            Ok(())
        }
        Value::Annotations(annotations) => {
            write_annotations(out, annotations);
            Ok(())
        }
    };
}

fn write_calls(out: &mut Vec<u8>, calls: &[HookCall]) {
    out.push(b'[');
    for (index, call) in calls.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"plugin\":");
        string(out, call.plugin.as_bytes(), false);
        let (hook, verdict) = (call.hook.name(), call.said.name());
        let _ = write!(out, ",\"hook\":\"{hook}\",\"verdict\":\"{verdict}\"");
        let _ = match call.said {
            Said::Respond(status) => write!(out, ",\"status\":{status}"),
            Said::Failed(reason, _) => write!(out, ",\"reason\":\"{}\"", reason.name()),
            Said::Next | Said::Pick | Said::Pass | Said::Accept | Said::Retry | Said::Done => Ok(()),
        };
        let _ = write!(out, ",\"ms\":{}}}", Millis(call.time));
    }
    out.push(b']');
}

/// The names of plugins and keys need no escape.
fn write_annotations(out: &mut Vec<u8>, annotations: &[Annotation]) {
    out.push(b'{');
    for (index, Annotation { plugin, key, value }) in annotations.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let _ = write!(out, "\"{plugin}.{key}\":");
        string(out, value.as_bytes(), false);
    }
    out.push(b'}');
}

/// Appends a text of any bytes as a string. Bytes that are no UTF-8 are shown as `\xff`.
pub(in crate::telemetry) fn string(out: &mut Vec<u8>, text: &[u8], is_cut: bool) {
    out.push(b'"');
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.iter().all(is_plain) {
        out.extend_from_slice(text);
    } else {
        escaped(out, text);
    }
    if is_cut {
        out.extend_from_slice(CUT.as_bytes());
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
                c if is_visible(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn string_of_any_bytes_is_visible_json(bytes in prop::collection::vec(any::<u8>(), 0..60), is_cut: bool) {
            let mut out = Vec::new();
            string(&mut out, &bytes, is_cut);
            let text = String::from_utf8(out).expect("it is UTF-8");
            prop_assert!(text.chars().all(is_visible), "{text:?}");
            let read: String = serde_json::from_str(&text).expect("it is JSON");
            if let Ok(sent) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(read.strip_suffix('…').filter(|_| is_cut).unwrap_or(&read), sent);
            }
        }
    }
}
