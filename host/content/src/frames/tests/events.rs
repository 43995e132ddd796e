use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn events() -> Cutter {
    cutter(Framing::Event, Access::Edit)
}

fn looked_at() -> Cutter {
    cutter(Framing::Event, Access::Look)
}

/// The events that a client sees, as the standard has it, a character after the other: content, type, id. The id is the
/// event's own, and so is a type that is empty.
fn reference(stream: &str) -> Vec<Seen> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let text = stream.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut data, mut event_type, mut id) = (String::new(), None, None);
    // What follows the last line end is no line, and no event is dispatched without an empty one.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = if text.contains('\n') {
        complete.split('\n').collect()
    } else {
        Vec::new()
    };
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                events.push((data.as_bytes().to_vec(), event_type.clone(), id.clone()));
            }
            (data, event_type, id) = (String::new(), None, None);
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => data += &format!("{value}\n"),
            "event" => event_type = Some(value.to_owned()),
            "id" if !value.contains('\0') => id = Some(value.to_owned()),
            _ => {}
        }
    }
    events
}

#[test]
fn event_is_shown_as_its_data() {
    let message = "\u{feff}: hello\n\nevent: add\nid: 7\ndata: one\ndata:two\ndata:  three\nother: x\n\n\
                   retry: 10\n\ndata\n\ndata\ndata\n\nid\ndata: x\n\nevent:\ndata: y\n\n";
    let expected: [(&str, Option<&str>, Option<&str>); 5] = [
        ("one\ntwo\n three", Some("add"), Some("7")),
        ("", None, None),
        ("\n", None, None),
        ("x", None, Some("")),
        ("y", Some(""), None),
    ];
    let expected: Vec<Seen> = expected
        .iter()
        .map(|(data, event_type, id)| {
            (
                data.as_bytes().to_vec(),
                event_type.map(str::to_owned),
                id.map(str::to_owned),
            )
        })
        .collect();
    assert_eq!(reference(message), expected);
    for new in [events, looked_at] {
        for message in [
            message.to_owned(),
            message.replace('\n', "\r\n"),
            message.replace('\n', "\r"),
        ] {
            let passed = pass_both(new, &message, |_| true);
            assert_eq!(passed.seen, expected);
            assert_eq!(passed.text(), message);
        }
    }
}

#[test]
fn event_is_shown_as_soon_as_its_empty_line_is_there() {
    for end in ["\n", "\r\n", "\r"] {
        let mut cutter = events();
        cutter.push(format!("data: a{end}{end}").as_bytes());
        assert!(matches!(cutter.next_piece(), Ok(Some(Piece::Unit(_)))), "{end:?}");
    }
}

#[test]
fn dropped_event_leaves_nothing_behind() {
    let passed = pass_both(
        events,
        ": comment\r\n\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
        |unit| unit.lend().0.bytes() == b"b",
    );
    assert_eq!(passed.text(), ": comment\r\n\r\ndata: b\r\n\r\n");
}

#[test]
fn byte_order_mark_that_comes_to_the_beginning_shows_no_event() {
    for message in [
        "data: a\n\n\u{feff}data: b\n\n",
        "data: a\n\n\u{feff}data: b\ndata: c\n\n",
    ] {
        let passed = pass_both(events, message, |unit| unit.lend().0.bytes() != b"a");
        assert_eq!(reference(&passed.text()), passed.seen[1..]);
    }
    let passed = pass_both(events, "data: a\n\u{feff}data: b\n\n", |unit| {
        replace(unit, "c");
        true
    });
    assert_eq!(passed.text(), "\n\u{feff}data: b\ndata: c\n\n");
}

#[test]
fn changed_event_keeps_its_other_fields() {
    let message = ": c\nid: 7\revent: old\r\ndata: a\nretry: 5\ndata: b\n\n";
    let passed = pass_both(events, message, |unit| {
        replace(unit, "1\r2\r\n3\n");
        true
    });
    assert_eq!(
        passed.text(),
        ": c\nid: 7\revent: old\r\nretry: 5\ndata: 1\ndata: 2\ndata: 3\ndata: \n\n"
    );
    for (event_type, field) in [(Some("new"), "event: new\n"), (None, "")] {
        let passed = pass_both(events, message, |unit| {
            let event = unit.lend().1.expect("units are events");
            event.set_event_type(event_type).expect("it may");
            assert_eq!(event.event_type(), event_type);
            true
        });
        assert_eq!(
            passed.text(),
            format!(": c\nid: 7\rretry: 5\n{field}data: a\ndata: b\n\n")
        );
    }
}

#[test]
fn event_type_that_would_end_its_line_is_refused() {
    pass_both(events, "data: a\n\n", |unit| {
        let event = unit.lend().1.expect("units are events");
        for illegal in ["a\nb", "a\rb", "\0"] {
            assert_eq!(event.set_event_type(Some(illegal)), Err(EditError::InvalidValue));
        }
        assert!(!unit.is_changed());
        true
    });
}

#[test]
fn event_that_does_not_end_passes_only_where_it_is_looked_at() {
    let message = "data: a\n\ndata: b\n";
    let passed = pass_both(looked_at, message, |_| true);
    assert_eq!(
        (passed.contents(), passed.text()),
        (vec!["a".to_owned()], message.to_owned())
    );
    assert_eq!(pass_both(events, message, |_| true).text(), "data: a\n\n");
}

#[test]
fn event_beyond_the_limit_is_too_large_however_it_comes() {
    for end in ["\n", "\r\n", "\r"] {
        let line = "data: ".to_owned() + &"x".repeat(1024 - 6 - end.len()) + end;
        assert_eq!(line.len(), 1024);
        assert_eq!(pass_both(events, &(line.clone() + end), |_| true).seen.len(), 1);
        let longer = format!(":{line}{end}");
        assert_eq!(pass(events(), [longer.as_bytes()], |_| true), Err(UnitTooLarge));
        assert_eq!(
            pass(events(), longer.as_bytes().chunks(1), |_| true),
            Err(UnitTooLarge)
        );
    }
}

#[test]
fn event_that_is_added_is_one() {
    let added = events().last(Content::unit(Bytes::from_static(b"a\nb")));
    assert_eq!(added, "data: a\ndata: b\n\n");
    assert!(events().last(Content::unit(Bytes::new())).is_empty());
}

#[test]
fn interest_is_in_the_data_alone() {
    let new = || Cutter::new(Framing::Event, Access::Look, interest(&["_tokens\""]), 1024);
    let message =
        "event: _tokens\"\ndata: {}\n\ndata: {\"in_tok\ndata: ens\"}\n\ndata: {\"in_tokens\": 1}\n\n";
    let passed = pass_both(new, message, |_| true);
    assert_eq!(passed.contents(), ["{\"in_tokens\": 1}"]);
    assert_eq!(passed.text(), message);
}

/// Streams in which everything that means something comes close together.
fn stream() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(&["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"][..]),
        4 => prop::sample::select(&["data: a", "data:b", "data", "event: t", "id: 1", "id:\0", ": c", "retry: 1"][..]),
        1 => prop::sample::select(&["\u{feff}", "x", ":", " ", "é"][..]),
    ];
    vec(part, 0..25).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn events_are_those_of_the_standard_however_they_come(stream in stream(), sizes in vec(1_usize..9, 1..6)) {
        let expected = reference(&stream);
        let pieces = pieces(stream.as_bytes(), &sizes);
        let passed = pass(looked_at(), pieces.iter().copied(), |_| true).expect("none is too large");
        prop_assert_eq!(&passed.seen, &expected);
        prop_assert_eq!(passed.text(), &stream[..]);

        let passed = pass(events(), pieces, |_| true).expect("none is too large");
        prop_assert_eq!(&passed.seen, &expected);
        prop_assert!(stream.starts_with(&passed.text()), "only the tail is left out");
        prop_assert_eq!(reference(&passed.text()), expected);
    }

    /// With large pieces too, in which events without any of the strings are passed over together.
    #[test]
    fn events_of_interest_are_shown_however_they_come(
        stream in stream(),
        sizes in vec(1_usize..60, 1..6),
        strings in vec(prop::sample::select(&["a", "b", "a\nb", "t", "1", "data", "é", "xa", "\r"][..]), 1..3),
        is_edited in any::<bool>(),
    ) {
        let mut expected = reference(&stream);
        expected.retain(|(content, _, _)| {
            let content = String::from_utf8_lossy(content);
            strings.iter().any(|string| content.contains(string))
        });
        let access = if is_edited { Access::Edit } else { Access::Look };
        let cutter = Cutter::new(Framing::Event, access, interest(&strings), 1024);
        let passed = pass(cutter, pieces(stream.as_bytes(), &sizes), |_| true).expect("none is too large");
        prop_assert_eq!(&passed.seen, &expected);
        match is_edited {
            true => prop_assert!(stream.starts_with(&passed.text()), "only the tail is left out"),
            false => prop_assert_eq!(passed.text(), &stream[..]),
        }
    }

    /// Also not those that are passed over.
    #[test]
    fn dropped_event_removes_no_other(stream in stream(), sizes in vec(1_usize..60, 1..6)) {
        let mut expected = reference(&stream);
        expected.retain(|(content, _, _)| !content.contains(&b'a'));
        let cutter = Cutter::new(Framing::Event, Access::Edit, interest(&["a"]), 1024);
        let passed = pass(cutter, pieces(stream.as_bytes(), &sizes), |_| false).expect("none is too large");
        prop_assert_eq!(reference(&passed.text()), expected);
    }

    #[test]
    fn changed_events_are_seen_as_they_were_changed(
        stream in stream(),
        sizes in vec(1_usize..9, 1..6),
        changes in vec((0..4_u8, "[a \n\r:]{0,8}"), 1..5),
    ) {
        let mut expected = reference(&stream);
        let mut changes = changes.into_iter().cycle();
        let mut after = changes.clone();
        expected.retain_mut(|(content, event_type, _)| {
            let (kind, text) = after.next().expect("it is endless");
            match kind {
                0 => return false,
                1 => *content = text.replace("\r\n", "\n").replace('\r', "\n").into_bytes(),
                2 => *event_type = Some("new".to_owned()),
                _ => {}
            }
            true
        });
        let passed = pass(events(), pieces(stream.as_bytes(), &sizes), |unit| {
            let (kind, text) = changes.next().expect("it is endless");
            match kind {
                1 => replace(unit, &text),
                2 => {
                    let event = unit.lend().1.expect("units are events");
                    event.set_event_type(Some("new")).expect("it may");
                }
                _ => {}
            }
            kind != 0
        });
        prop_assert_eq!(reference(&passed.expect("none is too large").text()), expected);
    }
}
