//! What becomes of a message whose filter fails, finishes or adds something.

use super::*;
use crate::frames::{Advance, Filter, Stage};

/// A filter that decides by a word in the unit, and adds a text at the end.
struct ByWord(&'static str);

/// The message breaks off.
#[derive(Debug)]
struct Cut;

impl Filter for ByWord {
    type Broken = Cut;

    fn next(&mut self, content: &mut Content, _: Option<&mut EventFields>) -> Result<Option<Step>, Cut> {
        let has = |word: &[u8]| content.find(word, 0).is_some();
        Ok(match () {
            () if has(b"fail") => {
                content.replace(b"spoilt".to_vec()).ok();
                None
            }
            () if has(b"finish") => Some(Step::Finish),
            () if has(b"cut") => return Err(Cut),
            () => Some(Step::Pass),
        })
    }

    fn too_large(&mut self) -> Result<(), Cut> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Option<Content>, Cut> {
        Ok((!self.0.is_empty()).then(|| Content::unit(Bytes::from_static(self.0.as_bytes()))))
    }

    fn cut(&mut self) -> Cut {
        Cut
    }
}

/// What is sent of a message that comes in pieces of this size, the same whether those that pass are pushed or not.
fn sent(framing: Framing, access: Access, adds: &'static str, message: &[u8], size: usize) -> String {
    let never: fn(&Stage, &[u8]) -> bool = |_, _| false;
    let [pushed, passed_over] =
        [never, Stage::passes].map(|passes| sent_by(passes, framing, access, adds, message, size));
    assert_eq!(pushed, passed_over);
    pushed
}

fn sent_by(
    passes: fn(&Stage, &[u8]) -> bool,
    framing: Framing,
    access: Access,
    adds: &'static str,
    message: &[u8],
    size: usize,
) -> String {
    let mut stage = Stage::new(framing, access, Interest::default(), 1024);
    let mut filter = ByWord(adds);
    let mut pieces = message.chunks(size);
    let mut sent = Vec::new();
    loop {
        match stage.advance(&mut filter).expect("it is not cut") {
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
            Advance::End => return String::from_utf8_lossy(&sent).into_owned(),
        }
    }
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
