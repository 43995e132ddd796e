//! Values that are generated, and ways to write them.

use proptest::collection::vec;
use proptest::prelude::*;

/// A value, as it is to be written.
#[derive(Clone, Debug)]
pub(super) enum Generated {
    Scalar(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Generated>),
    Object(Vec<(String, Generated)>),
}

/// Values of all kinds; no name is in an object twice.
pub(super) fn generated() -> impl Strategy<Value = Generated> {
    let leaf = prop_oneof![
        prop::sample::select(&["null", "true", "false"][..]).prop_map(Generated::Scalar),
        any::<i64>().prop_map(|number| Generated::Number(number.to_string())),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?([eE][-+]?[0-9]{1,2})?".prop_map(Generated::Number),
        text().prop_map(Generated::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Generated::Array),
            vec((text(), inner), 0..6).prop_map(|mut members| {
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                members.dedup_by(|(one, _), (other, _)| one == other);
                Generated::Object(members)
            }),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        "[ -~]{0,20}",
        "[\\x00-\u{10ffff}]{0,6}",
        "[~/\\\\\"0-1]{0,4}"
    ]
}

/// Writes a value, with the white space and the escapes that `choices` say.
pub(super) fn write(value: &Generated, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    space(choices, out);
    match value {
        Generated::Scalar(literal) => out.push_str(literal),
        Generated::Number(number) => out.push_str(number),
        Generated::Text(text) => write_text(text, choices, out),
        Generated::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write(element, choices, out);
            }
            space(choices, out);
            out.push(']');
        }
        Generated::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                space(choices, out);
                write_text(name, choices, out);
                space(choices, out);
                out.push(':');
                write(member, choices, out);
            }
            space(choices, out);
            out.push('}');
        }
    }
    space(choices, out);
}

fn space(choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push_str(["", " ", "\n\t", "\r\n  "][usize::from(choices.next().unwrap_or(0)) % 4]);
}

fn write_text(text: &str, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let choice = choices.next().unwrap_or(0);
        match character {
            _ if choice % 5 == 1 => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            '"' | '\\' => out.extend(['\\', character]),
            '/' if choice.is_multiple_of(2) => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            ..'\u{20}' => out.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
}
