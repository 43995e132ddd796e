//! The parser is compared with `serde_json`, which shares no code with it.

mod generated;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use generated::{Generated, generated, write};

fn value<'a>(text: &'a str, pointer: &str) -> Result<Value<'a>, JsonError> {
    let pointer = Pointer::parse(pointer)?;
    Document::parse(text.as_bytes())?.value(text.as_bytes(), pointer)
}

fn at(pointer: &str) -> Pointer<'_> {
    Pointer::parse(pointer).expect("it is a pointer")
}

fn span<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let document = Document::parse(text.as_bytes()).expect("it is JSON");
    let span = document
        .span(text.as_bytes(), at(pointer))
        .expect("it has an answer")?;
    Some(&text[span.start as usize..span.end as usize])
}

#[test]
fn each_kind_of_value_is_read() {
    let text = r#" {"a": [null, true, false, -0, 12, -3.5e2, "x", [], {}], "b": 9223372036854775808} "#;
    let expected = [
        ("", Value::Object),
        ("/a", Value::Array),
        ("/a/0", Value::Null),
        ("/a/1", Value::Boolean(true)),
        ("/a/2", Value::Boolean(false)),
        ("/a/3", Value::Integer(0)),
        ("/a/4", Value::Integer(12)),
        ("/a/5", Value::Number(-350.0)),
        ("/a/6", Value::Text("x".into())),
        ("/a/7", Value::Array),
        ("/a/8", Value::Object),
        ("/b", Value::Number(9_223_372_036_854_775_808.0)),
        ("/c", Value::Absent),
        ("/a/9", Value::Absent),
        ("/a/01", Value::Absent),
        ("/a/-", Value::Absent),
        ("/a/", Value::Absent),
        ("/a/0/x", Value::Absent),
        ("/", Value::Absent),
    ];
    for (pointer, expected) in expected {
        assert_eq!(value(text, pointer), Ok(expected), "{pointer}");
    }
    assert_eq!(value("1e999", ""), Ok(Value::Number(f64::INFINITY)));
    assert_eq!(value("-9223372036854775808", ""), Ok(Value::Integer(i64::MIN)));
}

#[test]
fn pointer_unescapes_names_and_others_are_refused() {
    let text = r#"{"a/b": 1, "m~n": 2, "~1": 3, "": {"": 4}}"#;
    for (pointer, expected) in [("/a~1b", 1), ("/m~0n", 2), ("/~01", 3), ("//", 4)] {
        assert_eq!(value(text, pointer), Ok(Value::Integer(expected)), "{pointer}");
    }
    for pointer in ["a", "~", "/~", "/a~2", "/~1~", "#/a"] {
        assert_eq!(value(text, pointer), Err(JsonError::InvalidPointer), "{pointer}");
    }
}

#[test]
fn member_that_is_there_twice_is_ambiguous_however_it_is_written() {
    let text = r#"{"model": 1, "other": {"model": 2}, "mo\u0064el": 3, "x": 4, "x": 5}"#;
    assert_eq!(value(text, "/model"), Err(JsonError::Ambiguous));
    assert_eq!(value(text, "/model/a"), Err(JsonError::Ambiguous));
    assert_eq!(value(text, "/other/model"), Ok(Value::Integer(2)));
    assert_eq!(value(text, "/absent"), Ok(Value::Absent));
    let document = Document::parse(text.as_bytes()).expect("it is JSON");
    assert_eq!(document.length(text.as_bytes(), at("")), Ok(Some(5)));
    let keys = document
        .keys(text.as_bytes(), at(""))
        .expect("there is one")
        .expect("it is an object");
    assert_eq!(keys, ["model", "other", "model", "x", "x"]);
    assert_eq!(
        document.span(text.as_bytes(), at("/x")),
        Err(JsonError::Ambiguous)
    );
    // A backslash in a name is not the escape that looks the same.
    assert_eq!(value(r#"{"\n": 1}"#, r"/\n"), Ok(Value::Absent));
    assert_eq!(value(r#"{"\\n": 1}"#, r"/\n"), Ok(Value::Integer(1)));
}

#[test]
fn length_and_keys_are_none_for_other_values() {
    let text = r#"{"list": [1, [2, 3]], "text": "abc"}"#;
    let document = Document::parse(text.as_bytes()).expect("it is JSON");
    let bytes = text.as_bytes();
    for (pointer, length) in [
        ("", Some(2)),
        ("/list", Some(2)),
        ("/list/1", Some(2)),
        ("/text", None),
        ("/x", None),
    ] {
        assert_eq!(document.length(bytes, at(pointer)), Ok(length), "{pointer}");
    }
    assert_eq!(document.keys(bytes, at("/list")), Ok(None));
    assert_eq!(document.keys(bytes, at("/x")), Ok(None));
}

#[test]
fn span_is_the_value_as_it_is_written() {
    let text = "\t{ \"a\" : [ 1.50 , \"\\u0041\" ] }\n";
    assert_eq!(span(text, "/a/0"), Some("1.50"));
    assert_eq!(span(text, "/a/1"), Some("\"\\u0041\""));
    assert_eq!(span(text, "/a"), Some("[ 1.50 , \"\\u0041\" ]"));
    assert_eq!(span(text, ""), Some(text.trim()));
    assert_eq!(span(text, "/b"), None);
}

#[test]
fn values_are_nested_in_128_others_and_no_deeper() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize, inner: &str| open.repeat(levels) + inner + &close.repeat(levels);
        for inner in ["1", "[]", "{}"] {
            assert!(Document::parse(nested(128, inner).as_bytes()).is_ok());
            let deeper = Document::parse(nested(129, inner).as_bytes());
            assert_eq!(deeper.err(), Some(JsonError::TooDeep));
        }
        let deepest = Document::parse(open.repeat(1_000_000).as_bytes());
        assert_eq!(deepest.err(), Some(JsonError::TooDeep));
    }
}

#[test]
fn content_that_is_no_single_value_is_malformed() {
    let texts: [&[u8]; 30] = [
        b"",
        b" ",
        b"1 2",
        b"{} {}",
        b"[1,]",
        b"[,1]",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{1:1}",
        b"[1}",
        b"{\"a\":1]",
        b"[",
        b"{",
        b"\"",
        b"\"\x01\"",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\u0041\"",
        b"01",
        b"+1",
        b"1.",
        b".5",
        b"1e",
        b"nul",
        b"\"\xff\"",
    ];
    for text in texts {
        let parsed = Document::parse(text);
        assert_eq!(
            parsed.err(),
            Some(JsonError::Malformed),
            "{}",
            text.escape_ascii()
        );
    }
}

/// Compares all that can be asked about a value and those in it.
fn check(document: &Document, text: &str, pointer: &str, expected: &Generated) -> Result<(), TestCaseError> {
    let bytes = text.as_bytes();
    let found = document
        .value(bytes, at(pointer))
        .expect("no member is there twice");
    let span = document
        .span(bytes, at(pointer))
        .expect("as before")
        .expect("it is there");
    let written = &text[span.start as usize..span.end as usize];
    let by_other: serde_json::Value = serde_json::from_str(written).expect("a span is a value");
    let length = document.length(bytes, at(pointer)).expect("as before");
    match expected {
        Generated::Scalar(literal) => {
            let value = match *literal {
                "null" => Value::Null,
                other => Value::Boolean(other == "true"),
            };
            prop_assert_eq!((found, written, length), (value, *literal, None));
        }
        Generated::Number(number) => {
            let value = match (number.parse(), number.contains(['.', 'e', 'E'])) {
                (Ok(integer), false) => Value::Integer(integer),
                _ => Value::Number(number.parse().expect("it is a number")),
            };
            prop_assert_eq!((found, written, length), (value, number.as_str(), None));
        }
        Generated::Text(expected) => {
            prop_assert_eq!(by_other.as_str(), Some(expected.as_str()));
            prop_assert_eq!((found, length), (Value::Text(expected.into()), None));
        }
        Generated::Array(elements) => {
            prop_assert_eq!((found, length), (Value::Array, Some(elements.len() as u32)));
            for (index, element) in elements.iter().enumerate() {
                check(document, text, &format!("{pointer}/{index}"), element)?;
            }
            let behind = document.value(bytes, at(&format!("{pointer}/{}", elements.len())));
            prop_assert_eq!(behind, Ok(Value::Absent));
        }
        Generated::Object(members) => {
            prop_assert_eq!((found, length), (Value::Object, Some(members.len() as u32)));
            let keys = document
                .keys(bytes, at(pointer))
                .expect("as before")
                .expect("it is an object");
            prop_assert!(keys.iter().eq(members.iter().map(|(name, _)| name)));
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                check(document, text, &format!("{pointer}/{name}"), member)?;
            }
        }
    }
    Ok(())
}

/// Whether both take or refuse it, except for where they are known to differ: `serde_json` takes one level less, and no
/// number that a double cannot hold.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = Document::parse(bytes);
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(_) => prop_assert!(ours.is_ok(), "{}", bytes.escape_ascii()),
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) if error.to_string().starts_with("recursion limit") => {}
        Err(_) => prop_assert_eq!(ours.err(), Some(JsonError::Malformed), "{}", bytes.escape_ascii()),
    }
    Ok(())
}

proptest! {
    #[test]
    fn values_names_and_spans_are_those_that_were_written(value in generated(), choices in vec(any::<u8>(), 0..200)) {
        let mut text = String::new();
        write(&value, &mut choices.into_iter(), &mut text);
        let document = Document::parse(text.as_bytes()).expect("it is JSON");
        check(&document, &text, "", &value)?;
    }

    #[test]
    fn mutations_are_taken_and_refused_as_by_another_parser(
        value in generated(),
        choices in vec(any::<u8>(), 0..100),
        mutations in vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..4),
    ) {
        const TELLING: &[u8] = b"{}[]\",:\\u0-+.eE9ntf \n\x00\x1f\x7f\x80\xc3\xff";
        let mut text = String::new();
        write(&value, &mut choices.into_iter(), &mut text);
        let mut bytes = text.into_bytes();
        for (place, kind, byte) in mutations {
            let telling = TELLING[usize::from(byte) % TELLING.len()];
            match kind {
                _ if bytes.is_empty() => bytes.push(telling),
                0 => { bytes.remove(place.index(bytes.len())); }
                1 => bytes.insert(place.index(bytes.len()), telling),
                2 => { let at = place.index(bytes.len()); bytes[at] = telling; }
                _ => bytes.truncate(place.index(bytes.len())),
            }
        }
        agree(&bytes)?;
    }

    #[test]
    fn texts_and_numbers_are_taken_and_refused_as_by_another_parser(
        text in "(\"[a\\\\u0d8c\"\\x1f]{0,30}\"|[-+0-9.eE]{1,8})",
    ) {
        agree(text.as_bytes())?;
    }
}
