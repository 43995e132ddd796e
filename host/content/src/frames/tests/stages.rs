//! What becomes of a message whose filter fails, finishes or adds something.

use super::*;
use crate::frames::{Advance, Filter, Stage};

/// A filter that decides by a word in the unit, and adds a text at the end.
struct ByWord {
    adds: &'static str,
    /// Whether a unit that is too large has the message break off.
    is_closed: bool,
}

/// The message breaks off: the filter cuts it, fails, or is not shown a unit that is too large.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    Cut,
    Failed,
    TooLarge,
}

impl Filter for ByWord {
    type Broken = Broken;

    fn next(&mut self, content: &mut Content, _: Option<&mut EventFields>) -> Result<Option<Step>, Broken> {
        let has = |word: &[u8]| content.find(word, 0).is_some();
        Ok(match () {
            () if has(b"fail") => {
                content.replace(b"spoilt".to_vec()).ok();
                None
            }
            () if has(b"finish") => Some(Step::Finish),
            () if has(b"stop") => Some(Step::Stop),
            () if has(b"drop") => Some(Step::Drop),
            () if has(b"cut") => Some(Step::Cut),
            () if has(b"break") => return Err(Broken::Failed),
            () => Some(Step::Pass),
        })
    }

    fn too_large(&mut self) -> Result<(), Broken> {
        match self.is_closed {
            true => Err(Broken::TooLarge),
            false => Ok(()),
        }
    }

    fn complete(&mut self) -> Result<Option<Content>, Broken> {
        Ok((!self.adds.is_empty()).then(|| Content::unit(Bytes::from_static(self.adds.as_bytes()))))
    }

    fn cut(&mut self) -> Broken {
        Broken::Cut
    }
}

/// What is sent of a message that comes in pieces of this size, the same whether those that pass are pushed or not.
fn sent(framing: Framing, access: Access, adds: &'static str, message: &[u8], size: usize) -> String {
    let stage = || Stage::new(framing, access, Interest::default(), 1024);
    let filter = || ByWord {
        adds,
        is_closed: false,
    };
    let never: fn(&Stage, &[u8]) -> bool = |_, _| false;
    let [pushed, passed_over] =
        [never, Stage::passes].map(|passes| pass_stage(stage(), filter(), passes, message, size));
    assert_eq!(pushed, passed_over);
    let (sent, end) = pushed;
    assert_eq!(end, Ok(()));
    sent
}

/// What is sent, and how the message ends.
fn pass_stage(
    mut stage: Stage,
    mut filter: ByWord,
    passes: fn(&Stage, &[u8]) -> bool,
    message: &[u8],
    size: usize,
) -> (String, Result<(), Broken>) {
    let mut pieces = message.chunks(size);
    let mut sent = Vec::new();
    let text = |sent: &[u8]| String::from_utf8_lossy(sent).into_owned();
    loop {
        let advance = match stage.advance(&mut filter) {
            Ok(advance) => advance,
            Err(broken) => return (text(&sent), Err(broken)),
        };
        match advance {
            Advance::Bytes(bytes) => sent.extend(bytes),
            Advance::Again => {}
            Advance::Wants => match pieces.next() {
                Some(piece) if passes(&stage, piece) => {
                    stage.note_passed(piece);
                    sent.extend(piece);
                }
                Some(piece) => stage.push_slice(piece),
                None => stage.finish(),
            },
            Advance::End => return (text(&sent), Ok(())),
        }
    }
}

#[test]
fn steps_decide_about_a_unit_and_the_rest() {
    let long = "x".repeat(1025);
    let too_long = format!("one\n{long}\ntwo\n");
    for (message, expected, end) in [
        ("one\ndrop\ntwo\n", "one\ntwo\nadded\n", Ok(())),
        ("drop\n", "added\n", Ok(())),
        ("one\nstop\ntwo\n", "one\nstop\nadded\n", Ok(())),
        ("one\nfinish\ndrop\n", "one\nfinish\ndrop\nadded\n", Ok(())),
        ("one\ncut\ntwo\n", "one\n", Err(Broken::Cut)),
        ("one\nbreak\ntwo\n", "one\n", Err(Broken::Failed)),
        (&too_long, "one\n", Err(Broken::TooLarge)),
    ] {
        for size in [1, 2, 5, message.len()] {
            let stage = Stage::new(Framing::Line, Access::Edit, Interest::default(), 1024);
            let filter = ByWord {
                adds: "added",
                is_closed: true,
            };
            let passed = pass_stage(stage, filter, Stage::passes, message.as_bytes(), size);
            assert_eq!(
                passed,
                (expected.to_owned(), end),
                "{message:?} in pieces of {size}"
            );
        }
    }
    // A filter that has failed open is not told of what passes.
    assert_eq!(
        sent(Framing::Line, Access::Edit, "", too_long.as_bytes(), 7),
        too_long
    );
}

#[test]
fn message_whose_filter_fails_passes_as_it_came() {
    let mark = "\u{feff}";
    for message in [
        format!("data: fail\n\n{mark}data: two\n\n"),
        format!("data: fail\n\n{mark}"),
        format!(": note\n\ndata: fail\n\n{mark}x"),
        "data: one\n\ndata: fail\n\ndata: two".to_owned(),
    ] {
        for access in [Access::Look, Access::Edit] {
            for size in 1..=message.len() {
                let sent = sent(Framing::Event, access, "", message.as_bytes(), size);
                assert_eq!(sent, message, "{access:?} in pieces of {size}");
            }
        }
    }
}

#[test]
fn message_that_is_looked_at_is_never_longer() {
    let message = "data: one\n\n\u{feff}data: finish\n\n\u{feff}rest";
    for size in 1..=message.len() {
        assert_eq!(
            sent(Framing::Event, Access::Look, "", message.as_bytes(), size),
            message
        );
    }
}

#[test]
fn addition_behind_a_rest_that_has_passed_is_a_line_or_an_event_of_its_own() {
    for (message, expected) in [
        ("finish", "finish\nadded\n"),
        ("finish\n", "finish\nadded\n"),
        ("finish\ntwo", "finish\ntwo\nadded\n"),
        ("finish\ntwo\n", "finish\ntwo\nadded\n"),
    ] {
        for size in 1..=message.len() {
            let sent = sent(Framing::Line, Access::Edit, "added", message.as_bytes(), size);
            assert_eq!(
                sent.trim_end(),
                expected.trim_end(),
                "{message:?} in pieces of {size}"
            );
        }
    }
    for (message, between) in [
        ("data: finish\n\n", ""),
        ("data: finish\n\ndata: tail", "\n\n"),
        ("data: finish\n\ndata: tail\n", "\n"),
        ("data: finish\n\ndata: tail\r\n", "\n"),
        ("data: finish\r\n\r\ndata: two\r\n\r\n", ""),
        ("data: finish\r\rdata: two\r\r", ""),
    ] {
        let expected = format!("{message}{between}data: added\n\n");
        for size in 1..=message.len() {
            let sent = sent(Framing::Event, Access::Edit, "added", message.as_bytes(), size);
            assert_eq!(sent, expected, "{message:?} in pieces of {size}");
        }
    }
}
