//! Units in the hands of plugins.

use bytes::Bytes;

use super::event::{self, EventFields, Fields};
use crate::body::{Access, Content};

/// A unit of a message: its content, and for an event its type and id.
#[derive(Debug)]
pub struct Unit {
    /// As it came, with its end.
    raw: Bytes,
    content: Content,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Chunk,
    /// How many bytes of the raw line are its content.
    Line(usize),
    Event(EventFields),
}

/// Where the content of a unit is in its bytes.
#[derive(Debug)]
pub(super) enum Shape {
    Chunk,
    Line { content: usize },
    Event(Fields),
}

impl Shape {
    /// The content.
    pub(super) fn content<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        match self {
            Shape::Chunk => raw,
            Shape::Line { content } => &raw[..*content],
            Shape::Event(fields) => fields.data(raw),
        }
    }

    /// Whether it is a line without an end.
    pub(super) fn is_open_line(&self, raw: &[u8]) -> bool {
        matches!(self, Shape::Line { content } if *content == raw.len())
    }
}

impl Unit {
    pub(super) fn new(raw: Bytes, shape: Shape, access: Access, limit: u32) -> Unit {
        let (content, kind) = match shape {
            Shape::Chunk => (raw.clone(), Kind::Chunk),
            Shape::Line { content } => (raw.slice(..content), Kind::Line(content)),
            Shape::Event(fields) => {
                let event = EventFields::new(&fields, &raw, access);
                (fields.into_data(&raw), Kind::Event(event))
            }
        };
        let mut content = Content::unit(content);
        content.allow(access, limit);
        Unit { raw, content, kind }
    }

    /// The content, and type and id of an event, for the call of a plugin.
    pub fn lend(&mut self) -> (&mut Content, Option<&mut EventFields>) {
        let event = match &mut self.kind {
            Kind::Event(event) => Some(event),
            Kind::Chunk | Kind::Line(_) => None,
        };
        (&mut self.content, event)
    }

    /// The unit as it came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The unit as it came, whatever was changed.
    pub(super) fn into_raw(self) -> Bytes {
        self.raw
    }

    /// Whether a plugin has changed it.
    pub fn is_changed(&self) -> bool {
        let is_event_changed = match &self.kind {
            Kind::Event(event) => event.is_changed(),
            Kind::Chunk | Kind::Line(_) => false,
        };
        self.content.is_changed() || is_event_changed
    }

    /// Whether it is a line without an end.
    pub(super) fn is_open_line(&self) -> bool {
        matches!(self.kind, Kind::Line(content) if content == self.raw.len())
    }

    /// The bytes to send for it.
    pub(super) fn into_bytes(self) -> Bytes {
        if !self.is_changed() {
            return self.raw;
        }
        match &self.kind {
            Kind::Chunk => self.content.into_shown(),
            Kind::Line(content) => [self.content.bytes(), &self.raw[*content..]].concat().into(),
            Kind::Event(event) => event::changed(&self.raw, self.content.bytes(), event),
        }
    }
}
