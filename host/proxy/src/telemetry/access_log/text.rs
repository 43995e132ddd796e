//! A line as `name=value` pairs. A value that could be taken for more than one is quoted.

use std::io::Write;

use pace_base::escape::{Quoted, is_visible};
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
    for (index, (name, value)) in values(fields, summary, noted).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        write_value(out, &value, clock);
    }
}

/// Writing into a vector does not fail.
fn write_value(out: &mut Vec<u8>, value: &Value<'_>, clock: &mut Clock) {
    let _ = match value {
        Value::Number(number) => write!(out, "{number}"),
        Value::Millis(time) => write!(out, "{time}"),
        Value::Address(address) => write!(out, "{address}"),
        Value::Word(word) => write!(out, "{word}"),
        Value::Hex(bytes) => {
            hex::push(out, bytes);
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
        Value::Annotations(annotations) => {
            let pair = |Annotation { plugin, key, value }: &Annotation| format!("{plugin}.{key}={value}");
            let pairs: Vec<String> = annotations.iter().map(pair).collect();
            string(out, pairs.join(", ").as_bytes(), false);
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
        let (hook, said) = (call.hook.name(), call.said.name());
        let _ = write!(out, "{} {hook}: {said}", call.plugin);
        let _ = match call.said {
            Said::Respond(status) => write!(out, " {status}"),
            Said::Failed(reason, _) => write!(out, " {}", reason.name()),
            Said::Next | Said::Pick | Said::Pass | Said::Accept | Said::Retry | Said::Done => Ok(()),
        };
        let _ = write!(out, " {}", Millis(call.time));
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
}
