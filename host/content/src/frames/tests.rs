//! Each way to split a message must come to the same units, and a message that no plugin changes must pass byte for byte.

mod chunks;
mod events;
mod lines;
mod stages;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::body::EditError;

/// A cutter for everything, with a limit of 1 KiB.
fn cutter(framing: Framing, access: Access) -> Cutter {
    Cutter::new(framing, access, Interest::default(), 1024)
}

fn interest(strings: &[&str]) -> Interest {
    Interest::new(strings.iter().map(|string| string.as_bytes().to_vec()).collect()).expect("they are legal")
}

/// A unit as a plugin sees it: content, type, id.
type Seen = (Vec<u8>, Option<String>, Option<String>);

/// What has come of a message.
#[derive(Debug, Default, PartialEq)]
struct Passed {
    seen: Vec<Seen>,
    sent: Vec<u8>,
}

impl Passed {
    fn contents(&self) -> Vec<String> {
        let contents = self
            .seen
            .iter()
            .map(|(content, _, _)| String::from_utf8_lossy(content).into_owned());
        contents.collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }
}

/// Takes all pieces that are there. A unit is sent if `decide` says so.
fn take(
    cutter: &mut Cutter,
    passed: &mut Passed,
    decide: &mut impl FnMut(&mut Unit) -> bool,
) -> Result<(), UnitTooLarge> {
    while let Some(piece) = cutter.next_piece()? {
        match piece {
            Piece::Pass(bytes) => {
                assert!(!bytes.is_empty());
                passed.sent.extend(bytes);
            }
            Piece::Unit(mut unit) => {
                let (content, event) = unit.lend();
                let [event_type, id] = match &event {
                    Some(event) => [event.event_type(), event.id()].map(|value| value.map(str::to_owned)),
                    None => [None, None],
                };
                passed.seen.push((content.bytes().to_vec(), event_type, id));
                if decide(&mut unit) {
                    passed.sent.extend(cutter.put_back(unit));
                }
            }
        }
    }
    Ok(())
}

/// Passes a message that comes in pieces.
fn pass<'a>(
    cutter: Cutter,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    decide: impl FnMut(&mut Unit) -> bool,
) -> Result<Passed, UnitTooLarge> {
    pass_by(cutter, |_, _| false, pieces, decide)
}

/// Passes a message that comes in pieces, of which those are not pushed that pass as they are.
fn pass_over<'a>(
    cutter: Cutter,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    decide: impl FnMut(&mut Unit) -> bool,
) -> Result<Passed, UnitTooLarge> {
    pass_by(cutter, Cutter::passes, pieces, decide)
}

fn pass_by<'a>(
    mut cutter: Cutter,
    passes: impl Fn(&Cutter, &[u8]) -> bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut decide: impl FnMut(&mut Unit) -> bool,
) -> Result<Passed, UnitTooLarge> {
    let mut passed = Passed::default();
    for piece in pieces {
        if passes(&cutter, piece) {
            cutter.note_passed(piece);
            passed.sent.extend(piece);
        } else {
            cutter.push(piece);
            take(&mut cutter, &mut passed, &mut decide)?;
        }
    }
    cutter.finish();
    take(&mut cutter, &mut passed, &mut decide)?;
    assert!(cutter.is_empty());
    Ok(passed)
}

/// Passes a message whole, and byte for byte: both must come to the same.
fn pass_both(new: impl Fn() -> Cutter, message: &str, mut decide: impl FnMut(&mut Unit) -> bool) -> Passed {
    let whole = pass(new(), [message.as_bytes()], &mut decide).expect("no unit is too large");
    let in_bytes = pass(new(), message.as_bytes().chunks(1), &mut decide).expect("no unit is too large");
    assert_eq!(whole, in_bytes, "{message:?}");
    whole
}

/// The message in pieces of these sizes, over and over.
fn pieces<'a>(mut message: &'a [u8], sizes: &'a [usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if message.is_empty() {
            break;
        }
        let (piece, rest) = message.split_at((*size).min(message.len()));
        pieces.push(piece);
        message = rest;
    }
    pieces
}

/// The message in pieces that end at these places.
fn split_at<'a>(message: &'a [u8], places: &BTreeSet<usize>) -> Vec<&'a [u8]> {
    let ends = places.iter().copied().chain([message.len()]);
    let begins = [0].into_iter().chain(places.iter().copied());
    begins
        .zip(ends)
        .map(|(begin, end)| &message[begin..end])
        .collect()
}

#[test]
fn pieces_without_anything_of_interest_pass_as_they_are() {
    for (framing, first, passing, pushed) in [
        (Framing::Event, "data: a\n\n", "data: b\n\n: c\n\n", "data: b\n"),
        (
            Framing::Event,
            "data: a\r\n\r\n",
            "data: b\r\n\r\n",
            "data: see\r\n\r\n",
        ),
        (Framing::Line, "a\n", "b\n\nc\r\n", "b"),
        (Framing::Line, "a\n", "b\n", "see\n"),
        (Framing::Chunk, "a", "b", "se"),
        (Framing::Chunk, "a", "b", "see"),
    ] {
        let mut cutter = Cutter::new(framing, Access::Edit, interest(&["see"]), 1024);
        let mut passed = Passed::default();
        cutter.push(first.as_bytes());
        take(&mut cutter, &mut passed, &mut |_| true).expect("it fits");
        assert_eq!(passed.text(), first);
        assert!(cutter.passes(passing.as_bytes()), "{framing:?}: {passing:?}");
        cutter.note_passed(passing.as_bytes());
        assert!(!cutter.passes(pushed.as_bytes()), "{framing:?}: {pushed:?}");
        // Behind what waits for its rest, nothing passes.
        cutter.push(&pushed.as_bytes()[..1]);
        assert!(cutter.next_piece().expect("it fits").is_none() || framing == Framing::Chunk);
    }
}

proptest! {
    /// A cutter from which passing pieces are kept shows and sends the same.
    #[test]
    fn pieces_that_pass_make_no_difference(
        framing in prop::sample::select(vec![Framing::Chunk, Framing::Line, Framing::Event]),
        access in prop::sample::select(vec![Access::Look, Access::Edit]),
        sought in prop::sample::select(vec![&["b"][..], &["aa", "ab"], &["a\nb"], &["\r"], &[]]),
        limit in prop::sample::select(vec![8, 1024]),
        parts in prop::collection::vec(
            prop::sample::select(vec!["data: a\n\n", "data:b\r\n\r\n", "data", ":", "a", "b", "\n", "\r", "\r\n", "\u{feff}"]),
            0..40,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        drops in any::<bool>(),
    ) {
        let message = parts.concat().into_bytes();
        // At the ends of parts, and thus of events, more often than elsewhere.
        let ends = parts.iter().scan(0, |end, part| { *end += part.len(); Some(*end) }).collect::<Vec<_>>();
        let places = cuts.iter().enumerate().filter(|_| !ends.is_empty()).map(|(at, cut)| match at % 4 {
            0 => cut.index(message.len()),
            _ => ends[cut.index(ends.len())],
        }).collect();
        let new = || Cutter::new(framing, access, interest(sought), limit);
        let decide = |unit: &mut Unit| {
            let (content, _) = unit.lend();
            if access == Access::Edit && content.bytes().len() % 3 == 1 {
                let longer = [content.bytes(), b"!"].concat();
                content.replace(longer).ok();
            }
            !(drops && access == Access::Edit && content.bytes().len() % 2 == 0)
        };
        let pushed = pass(new(), split_at(&message, &places), decide);
        let passed_over = pass_over(new(), split_at(&message, &places), decide);
        prop_assert_eq!(pushed, passed_over);
    }
}

fn replace(unit: &mut Unit, content: &str) {
    unit.lend()
        .0
        .replace(content.as_bytes().to_vec())
        .expect("it may");
}

#[test]
fn unit_that_is_looked_at_cannot_be_changed() {
    let message = b"data: a\n\n";
    for framing in [Framing::Chunk, Framing::Line, Framing::Event] {
        let passed = pass(cutter(framing, Access::Look), [&message[..]], |unit| {
            let (content, event) = unit.lend();
            assert_eq!(content.replace(Vec::new()), Err(EditError::ReadOnly));
            if let Some(event) = event {
                assert_eq!(event.set_event_type(None), Err(EditError::ReadOnly));
            }
            !unit.is_changed()
        });
        assert_eq!(passed.expect("no unit is too large").sent, message);
    }
}

#[test]
fn unit_grows_up_to_its_limit() {
    let mut cutter = cutter(Framing::Line, Access::Edit);
    cutter.push(b"line\n");
    let Ok(Some(Piece::Unit(mut unit))) = cutter.next_piece() else {
        panic!("there is a line")
    };
    let (content, _) = unit.lend();
    assert_eq!(content.replace(vec![b'x'; 1025]), Err(EditError::TooLarge));
    assert_eq!(content.replace(vec![b'x'; 1024]), Ok(()));
    assert_eq!(cutter.put_back(unit).len(), 1025);
}

#[test]
fn rest_is_all_that_was_not_given_out() {
    let mut cutter = Cutter::new(Framing::Line, Access::Edit, interest(&["b"]), 1024);
    cutter.push(b"a\na\nb\nc");
    let Ok(Some(Piece::Pass(before))) = cutter.next_piece() else {
        panic!("nothing of interest is before")
    };
    assert_eq!(before, "a\na\n");
    assert_eq!(cutter.into_rest(), "b\nc");
}
