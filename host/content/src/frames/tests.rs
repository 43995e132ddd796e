//! Each way to split a message must come to the same units, and a message that no plugin changes must pass byte for byte.

mod chunks;
mod events;
mod lines;
mod stages;

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
    mut cutter: Cutter,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut decide: impl FnMut(&mut Unit) -> bool,
) -> Result<Passed, UnitTooLarge> {
    let mut passed = Passed::default();
    for piece in pieces {
        cutter.push(piece);
        take(&mut cutter, &mut passed, &mut decide)?;
    }
    cutter.finish();
    take(&mut cutter, &mut passed, &mut decide)?;
    assert_eq!(cutter.buffered(), 0);
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
