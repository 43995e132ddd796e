use proptest::prelude::*;

use super::*;

#[test]
fn line_with_line_feeds_stays_one_line() {
    assert_eq!(
        Line("a\r\nb\x1b[31m\u{202e}").to_string(),
        "a\\r\\nb\\u{1b}[31m\\u{202e}"
    );
    assert_eq!(Line("grün ✓ 日本 \\n").to_string(), "grün ✓ 日本 \\n");
}

#[test]
fn lines_keep_line_feeds_and_escape_the_rest() {
    assert_eq!(Lines("a\nb\r\x07\u{2028}").to_string(), "a\nb\\r\\u{7}\\u{2028}");
}

#[test]
fn word_spaces_and_invalid_utf8_are_escaped() {
    assert_eq!(
        Word(b"/a b\\x20\xff\xc3\xa9").to_string(),
        "/a\\x20b\\\\x20\\xffé"
    );
}

#[test]
fn quoted_inner_quotes_are_escaped() {
    assert_eq!(Quoted(b"a\", b\\").to_string(), r#""a\", b\\""#);
    assert_eq!(Quoted(b"").to_string(), r#""""#);
}

#[test]
fn line_formatted_in_pieces_is_escaped_alike() {
    assert_eq!(Line(format_args!("{}|{}", "a\n", 1)).to_string(), "a\\n|1");
}

/// Any text, with harmful characters more often than chance.
fn text() -> impl Strategy<Value = String> {
    let harmful = prop::sample::select(vec![
        '\n',
        '\r',
        '\t',
        '\0',
        '\x1b',
        '\x7f',
        '\u{85}',
        '\u{9b}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{200e}',
        '\u{200f}',
        '\u{61c}',
        '\u{200b}',
        '\u{feff}',
        '\u{ad}',
        '\u{3164}',
        '\u{e0041}',
        '"',
        '\\',
        ' ',
    ]);
    prop::collection::vec(
        prop_oneof![any::<char>(), harmful, prop::char::range(' ', '~')],
        0..60,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

/// The bytes that an escaped text stands for.
fn read_back(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend(c.to_string().bytes());
            continue;
        }
        match rest.next().expect("a backslash is followed by something") {
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            'u' => {
                let digits: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                bytes.extend(c.expect("a character").to_string().bytes());
            }
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn line_any_text_is_visible_and_stable_when_escaped_again(text in text()) {
        let line = Line(&text).to_string();
        prop_assert!(line.chars().all(is_visible), "{line:?}");
        prop_assert_eq!(Line(&line).to_string(), line.clone());
        prop_assert_eq!(Lines(&line).to_string(), line);
    }

    #[test]
    fn lines_any_text_keep_exactly_its_line_feeds(text in text()) {
        let lines = Lines(&text).to_string();
        prop_assert!(lines.chars().all(|c| c == '\n' || is_visible(c)), "{lines:?}");
        prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn word_and_quoted_any_bytes_can_be_read_back(
        bytes in prop_oneof![text().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..60)],
    ) {
        let word = Word(&bytes).to_string();
        prop_assert!(word.chars().all(|c| is_visible(c) && c != ' '), "{word:?}");
        prop_assert_eq!(read_back(&word), bytes.clone());

        let quoted = Quoted(&bytes).to_string();
        prop_assert!(quoted.chars().all(is_visible), "{quoted:?}");
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.expect("it is in quotes");
        prop_assert_eq!(read_back(inner), bytes);
        // Every quote in it is escaped.
        let unescaped = inner.replace("\\\\", "").replace("\\\"", "");
        prop_assert!(!unescaped.contains('"'), "{}", quoted);
    }
}
