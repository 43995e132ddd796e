//! Texts with `{name}` where a value belongs.

use std::borrow::Cow;

/// Whether a value can have this name: a letter, and behind it letters, digits, `_` and `-`. So neither JSON nor a count in a regular
/// expression is taken for a name.
pub(super) fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_inner)
}

/// Whether the text begins with `{name}`.
pub(super) fn begins_with_name(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    inner.is_some_and(|(name, _)| is_name(name))
}

/// The text with a value for each `{name}` that has one; `None` if none has. Braces around anything else stay as they are, and values
/// are not looked through again.
pub(super) fn filled<'v>(text: &str, mut value: impl FnMut(&str) -> Option<Cow<'v, str>>) -> Option<String> {
    let mut made = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(open) = text[at..].find('{') {
        let begin = at + open + 1;
        at = begin;
        let Some(length) = text[begin..].find('}') else {
            break;
        };
        let name = &text[begin..begin + length];
        if let Some(value) = is_name(name).then(|| value(name)).flatten() {
            made.push_str(&text[copied..begin - 1]);
            made.push_str(&value);
            at = begin + length + 1;
            copied = at;
        }
    }
    (copied > 0).then(|| made + &text[copied..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_value_are_replaced() {
        let value = |name: &str| match name {
            "id" => Some(Cow::Borrowed("7")),
            "loop" => Some(Cow::Borrowed("{id}")),
            _ => None,
        };
        for (text, expected) in [
            ("{id}", Some("7")),
            ("/a/{id}/b?{id}", Some("/a/7/b?7")),
            ("{\"id\": \"{id}\"}", Some("{\"id\": \"7\"}")),
            ("{{id}}", Some("{7}")),
            ("{loop}", Some("{id}")),
            ("ä{id}ä", Some("ä7ä")),
            ("{other}", None),
            ("{ id }", None),
            ("{id", None),
            ("{\"id\":{\"id\":1}}", None),
            ("", None),
        ] {
            assert_eq!(filled(text, value).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn name_begins_with_a_letter() {
        assert!(is_name("session") && is_name("a1_b-c"));
        assert!(!is_name("") && !is_name("2") && !is_name("2,3") && !is_name("a b") && !is_name("ä"));
    }
}
