//! JSON without invisible characters.

use std::fmt::Write;

use super::is_visible;

/// Writes the invisible characters in strings of a JSON text as escapes. A parser gets the same values, and a
/// reader sees every character.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Line feeds stand between values; strings have none.
            '\n' => shown.push(c),
            c if is_visible(c) => shown.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing into a string does not fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_invisible_characters_are_escaped() {
        let text = serde_json::to_string("a\u{202e}\u{e0041}\u{7f}\né").expect("it is a text");
        assert_eq!(json(&text), r#""a\u202e\udb40\udc41\u007f\né""#);
    }

    proptest! {
        #[test]
        fn json_any_text_keeps_its_value(text in any::<String>()) {
            let pretty = serde_json::to_string_pretty(&[&text]).expect("it is a text");
            let shown = json(&pretty);
            prop_assert!(shown.chars().all(|c| c == '\n' || is_visible(c)), "{shown:?}");
            let back: Vec<String> = serde_json::from_str(&shown).expect("it is JSON");
            prop_assert_eq!(back, [text]);
        }
    }
}
