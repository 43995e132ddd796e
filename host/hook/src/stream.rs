//! Messages that pass in pieces, and the filters that see them.

use pace_content::body::Content;

use crate::{
    EditError, Ending, Failure, RequestAccess, RequestFacts, RequestHead, RequestScope, ResponseHead,
};

/// A message that a plugin filters, from `open` to its end.
///
/// Dropping it without [`Message::end`] drops the plugin's object: its filter has failed, or the rest of the message is not
/// the plugin's business any more.
pub trait Message: Send {
    /// Shows the next unit.
    ///
    /// After an error the message must be dropped.
    fn next(&mut self, heads: Heads<'_>, unit: Unit<'_>) -> Result<Step, Failure>;

    /// Tells the plugin that the message is over. `last` is empty, and what the plugin puts there is sent last.
    fn end(self: Box<Self>, heads: Heads<'_>, how: Ending, last: &mut Content) -> Result<(), Failure>;
}

/// The plugin's decision to filter a message.
pub struct Opening {
    /// The message.
    pub message: Box<dyn Message>,
    /// The way in which it is cut into units.
    pub framing: Framing,
    /// Whether the filter looks or changes.
    pub access: StreamAccess,
    /// The byte strings of which one has to occur in a unit that is shown: at most [`Opening::INTEREST`], each of 1 to
    /// [`Opening::INTEREST_BYTES`] bytes. Every unit is shown if there are none.
    pub interest: Vec<Vec<u8>>,
}

impl<'a> Heads<'a> {
    /// The view of the request.
    pub fn scope(self) -> RequestScope<'a> {
        RequestScope {
            head: RequestAccess::Read(self.request),
            facts: self.facts,
        }
    }
}

impl Opening {
    /// The most byte strings of interest.
    pub const INTEREST: usize = 16;

    /// The longest byte string of interest, in bytes.
    pub const INTEREST_BYTES: usize = 64;
}

/// The heads of the messages that a stream filter can look at. Neither can be changed any more.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// The request.
    pub request: &'a dyn RequestHead,
    /// The facts about the request that its head does not tell.
    pub facts: &'a RequestFacts<'a>,
    /// The response and the backend that it is from, if there is one yet.
    pub response: Option<(&'a dyn ResponseHead, Option<&'a str>)>,
}

/// One unit of a message. What the filter may do with the content is set by its caller; see [`Content::allow`].
pub struct Unit<'a> {
    /// Its bytes.
    pub content: &'a mut Content,
    /// The fields of the event that it is, beside its data.
    pub event: Option<&'a mut EventFields>,
}

/// The fields of a server-sent event beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFields {
    /// The value of `event`.
    pub kind: Option<String>,
    /// The value of `id`.
    pub id: Option<String>,
}

impl EventFields {
    /// The longest type of an event, in bytes.
    const KIND_BYTES: usize = 64 << 10;

    /// Changes the type; `None` removes the field.
    pub fn set_kind(&mut self, kind: Option<&str>) -> Result<(), EditError> {
        let kind = kind.unwrap_or_default();
        if kind.len() > Self::KIND_BYTES {
            return Err(EditError::TooLarge);
        }
        if kind.contains(['\r', '\n', '\0']) {
            return Err(EditError::InvalidValue);
        }
        self.kind = (!kind.is_empty()).then(|| kind.to_owned());
        Ok(())
    }
}

/// The way in which a message is cut into units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The bytes that have come at once.
    Chunk,
    /// Lines.
    Line,
    /// Server-sent events.
    Event,
}

impl Framing {
    /// Every way.
    pub const ALL: [Framing; 3] = [Framing::Chunk, Framing::Line, Framing::Event];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Framing::Chunk => "chunk",
            Framing::Line => "line",
            Framing::Event => "event",
        }
    }
}

/// The access of a filter to the units of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAccess {
    /// The message is sent exactly as it came.
    Look,
    /// The filter may change, drop and add.
    Edit,
}

/// The decision about a unit, and about the rest of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The unit is sent.
    Pass,
    /// Nothing of the unit is sent.
    Drop,
    /// The unit is sent, and the rest passes without this filter.
    Finish,
    /// The unit is sent, and the message ends there as if it were complete.
    Stop,
    /// The unit is not sent, and the message breaks off.
    Cut,
}

impl Step {
    /// Every decision.
    pub const ALL: [Step; 5] = [Step::Pass, Step::Drop, Step::Finish, Step::Stop, Step::Cut];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Step::Pass => "pass",
            Step::Drop => "drop",
            Step::Finish => "finish",
            Step::Stop => "stop",
            Step::Cut => "cut",
        }
    }

    /// Whether a filter that only looks may decide so.
    pub fn only_looks(self) -> bool {
        match self {
            Step::Pass | Step::Finish | Step::Cut => true,
            Step::Drop | Step::Stop => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_of_event_that_would_break_its_line_is_refused() {
        let mut event = EventFields::default();
        event.set_kind(Some("a")).expect("it is a legal type");
        for bad in ["a\nb", "\r", "\0"] {
            assert_eq!(event.set_kind(Some(bad)), Err(EditError::InvalidValue));
        }
        let long = "a".repeat(EventFields::KIND_BYTES + 1);
        assert_eq!(event.set_kind(Some(&long)), Err(EditError::TooLarge));
        assert_eq!(event.kind.as_deref(), Some("a"));
        event.set_kind(Some("")).expect("it is no type at all");
        assert_eq!(event.kind, None);
    }
}
