//! A message on its way past one filter.

use bytes::Bytes;

use super::{Cutter, EventFields, Framing, Interest, Piece, Step, Unit, UnitTooLarge};
use crate::body::{Access, Content};

/// A filter, as a [`Stage`] asks it.
pub trait Filter {
    /// The reason why the message breaks off.
    type Broken;

    /// Shows a unit. `None`: the filter has failed, and this unit and the rest of the message pass untouched.
    ///
    /// # Errors
    ///
    /// The message breaks off.
    fn next(
        &mut self,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Option<Step>, Self::Broken>;

    /// Tells that the next unit is too large to be shown. The rest of the message passes untouched.
    ///
    /// # Errors
    ///
    /// The message breaks off.
    fn too_large(&mut self) -> Result<(), Self::Broken>;

    /// Tells that the message is complete. Returns the bytes that the filter adds, if it adds any.
    ///
    /// # Errors
    ///
    /// The message breaks off.
    fn complete(&mut self) -> Result<Option<Content>, Self::Broken>;

    /// Takes note that the message breaks off because the filter wants it: [`Step::Cut`].
    fn cut(&mut self) -> Self::Broken;
}

/// What cuts a message for one filter, and what becomes of the units.
#[derive(Debug)]
pub struct Stage {
    phase: Phase,
    framing: Framing,
    /// Whether the stage has got all of the message.
    is_finished: bool,
}

/// The progress of a filter in its message.
#[derive(Debug)]
enum Phase {
    /// It is shown units.
    Cutting(Cutter),
    /// The rest passes without it: these bytes, and all that come.
    Passing { bytes: Option<Bytes>, end: PassedEnd },
    /// It has ended the message, with its last bytes to come, if there are any.
    Ending(Cutter),
    /// Nothing comes any more.
    Over,
}

/// The end of what has passed without being shown, behind which a filter may add something.
#[derive(Clone, Copy, Debug)]
struct PassedEnd {
    place: Place,
    /// Whether an LF would belong to the line end before.
    is_after_return: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a line.
    Line,
    /// Behind a line, and in an event.
    Event,
    /// Behind an empty line, or nothing has passed.
    Nothing,
}

/// The progress of a stage.
#[derive(Debug)]
pub enum Advance {
    /// These bytes go on; there is at least one.
    Bytes(Bytes),
    /// More has to come first.
    Wants,
    /// There is nothing yet, and it can be asked again.
    Again,
    /// Nothing comes any more.
    End,
}

impl Stage {
    /// A stage at the start of a message, for a filter that asked for it so. `limit` is that of [`Cutter::new`].
    pub fn new(framing: Framing, access: Access, interest: Interest, limit: u32) -> Stage {
        Stage {
            phase: Phase::Cutting(Cutter::new(framing, access, interest, limit)),
            framing,
            is_finished: false,
        }
    }

    /// The way in which the message is cut.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether these bytes, if they came next, after [`Advance::Wants`], would pass as they are. Then they need not be pushed:
    /// [`Stage::note_passed`] is enough. If it says no, they may still pass.
    pub fn passes(&self, bytes: &[u8]) -> bool {
        match &self.phase {
            Phase::Cutting(cutter) => cutter.passes(bytes),
            Phase::Passing { bytes, .. } => bytes.as_ref().is_none_or(Bytes::is_empty),
            Phase::Ending(_) | Phase::Over => false,
        }
    }

    /// Takes note of bytes that pass, and were not pushed.
    pub fn note_passed(&mut self, bytes: &[u8]) {
        match &mut self.phase {
            Phase::Cutting(cutter) => cutter.note_passed(bytes),
            Phase::Passing { end, .. } => *end = end.behind(bytes, self.framing),
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub fn push(&mut self, more: Bytes) {
        match &mut self.phase {
            Phase::Passing { bytes, .. } => *bytes = Some(more),
            Phase::Cutting(_) | Phase::Ending(_) | Phase::Over => self.push_slice(&more),
        }
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub fn push_slice(&mut self, more: &[u8]) {
        match &mut self.phase {
            Phase::Cutting(cutter) => cutter.push(more),
            Phase::Passing { bytes, .. } => *bytes = Some(Bytes::copy_from_slice(more)),
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Takes note that the message is complete.
    pub fn finish(&mut self) {
        self.is_finished = true;
        if let Phase::Cutting(cutter) = &mut self.phase {
            cutter.finish();
        }
    }

    /// The next thing to do.
    ///
    /// # Errors
    ///
    /// The filter has the message break off.
    pub fn advance<F: Filter>(&mut self, filter: &mut F) -> Result<Advance, F::Broken> {
        // Most of what comes passes or is waited for, and the cutter is too large to be moved for each piece.
        let mut unit = Ok(None);
        if let Phase::Cutting(cutter) = &mut self.phase {
            if cutter.is_empty() && !self.is_finished {
                return Ok(Advance::Wants);
            }
            unit = match cutter.next_piece() {
                Ok(Some(Piece::Pass(bytes))) => return Ok(some(bytes)),
                Ok(None) if !self.is_finished => return Ok(Advance::Wants),
                Ok(Some(Piece::Unit(unit))) => Ok(Some(unit)),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Cutting(cutter) => self.show(cutter, unit, filter),
            Phase::Passing {
                bytes: Some(bytes),
                end,
            } if !bytes.is_empty() => {
                self.phase = Phase::Passing {
                    end: end.behind(&bytes, self.framing),
                    bytes: None,
                };
                Ok(Advance::Bytes(bytes))
            }
            Phase::Passing { end, .. } if self.is_finished => {
                let Some(last) = filter.complete()? else {
                    return Ok(Advance::End);
                };
                let unused = Cutter::new(self.framing, Access::Edit, Interest::default(), Content::MOST);
                let last = unused.last(last);
                // What passed may have ended in a line, or in an event, which would go on with what is added.
                let before: &[u8] = match (last.is_empty(), self.framing, end.place) {
                    (true, ..) | (_, Framing::Chunk, _) | (_, _, Place::Nothing) => b"",
                    (_, Framing::Line, Place::Event) => b"",
                    (_, Framing::Line, Place::Line) => b"\n",
                    (_, Framing::Event, Place::Event) => b"\n",
                    (_, Framing::Event, Place::Line) => b"\n\n",
                };
                Ok(some(match before {
                    b"" => last,
                    before => [before, &last].concat().into(),
                }))
            }
            passing @ Phase::Passing { .. } => {
                self.phase = passing;
                Ok(Advance::Wants)
            }
            Phase::Ending(cutter) => {
                let last = filter.complete()?;
                Ok(some(last.map_or_else(Bytes::new, |last| cutter.last(last))))
            }
            Phase::Over => Ok(Advance::End),
        }
    }

    /// Has a unit shown; without one, the message is complete.
    fn show<F: Filter>(
        &mut self,
        mut cutter: Cutter,
        unit: Result<Option<Unit>, UnitTooLarge>,
        filter: &mut F,
    ) -> Result<Advance, F::Broken> {
        match unit {
            Ok(None) => {
                self.phase = Phase::Ending(cutter);
                Ok(Advance::Again)
            }
            Ok(Some(mut unit)) => {
                let (content, event) = unit.lend();
                let bytes = match filter.next(content, event)? {
                    None => {
                        let bytes = cutter.give_back(unit);
                        self.pass(cutter, &bytes);
                        bytes
                    }
                    Some(Step::Pass) => {
                        let bytes = cutter.put_back(unit);
                        self.phase = Phase::Cutting(cutter);
                        bytes
                    }
                    Some(Step::Drop) => {
                        self.phase = Phase::Cutting(cutter);
                        Bytes::new()
                    }
                    Some(Step::Finish) => {
                        let bytes = cutter.put_back(unit);
                        self.pass(cutter, &bytes);
                        bytes
                    }
                    Some(Step::Stop) => {
                        let bytes = cutter.put_back(unit);
                        self.phase = Phase::Ending(cutter);
                        bytes
                    }
                    Some(Step::Cut) => return Err(filter.cut()),
                };
                Ok(some(bytes))
            }
            Err(UnitTooLarge) => {
                filter.too_large()?;
                self.pass(cutter, b"");
                Ok(Advance::Again)
            }
        }
    }

    /// Has the rest pass behind a last unit.
    fn pass(&mut self, cutter: Cutter, last: &[u8]) {
        self.phase = Phase::Passing {
            bytes: Some(cutter.into_rest()),
            end: PassedEnd::NOTHING.behind(last, self.framing),
        };
    }
}

impl PassedEnd {
    const NOTHING: PassedEnd = PassedEnd {
        place: Place::Nothing,
        is_after_return: false,
    };

    /// The end behind further bytes.
    fn behind(self, bytes: &[u8], framing: Framing) -> PassedEnd {
        let rest = bytes.strip_prefix(b"\n").filter(|_| self.is_after_return);
        let more = rest.unwrap_or(bytes);
        PassedEnd {
            place: match more.is_empty() {
                true => self.place,
                false => self.place.behind(more, framing),
            },
            is_after_return: match bytes.last() {
                Some(last) => *last == b'\r',
                None => self.is_after_return,
            },
        }
    }
}

impl Place {
    fn behind(self, bytes: &[u8], framing: Framing) -> Place {
        let without_end = |bytes: &[u8]| match bytes {
            [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => Some(rest.len()),
            [rest @ .., b'\r'] if framing == Framing::Event => Some(rest.len()),
            _ => None,
        };
        match without_end(bytes) {
            None => Place::Line,
            // An empty line, unless it is the end of one that has begun before.
            Some(0) if self == Place::Line => Place::Event,
            Some(0) => Place::Nothing,
            Some(length) => match without_end(&bytes[..length]) {
                Some(_) => Place::Nothing,
                None => Place::Event,
            },
        }
    }
}

fn some(bytes: Bytes) -> Advance {
    match bytes.is_empty() {
        true => Advance::Again,
        false => Advance::Bytes(bytes),
    }
}
