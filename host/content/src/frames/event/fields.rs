//! The fields of an event, and how a changed one is written.

use std::ops::Range;

use bytes::Bytes;

use super::line_end;
use crate::body::{Access, EditError};

/// The fields of an event that matter here, as places in its bytes.
#[derive(Debug)]
pub(crate) struct Fields {
    data: Data,
    event_type: Option<Range<usize>>,
    id: Option<Range<usize>>,
}

#[derive(Debug)]
enum Data {
    /// One line.
    Place(Range<usize>),
    /// Several, joined by LF.
    Joined(Vec<u8>),
}

/// Type and id of an event, for the call of a plugin.
#[derive(Debug)]
pub struct EventFields {
    event_type: Option<String>,
    id: Option<String>,
    access: Access,
    is_changed: bool,
}

impl Fields {
    /// The fields of a block of lines, each with its end. `None` without data, which is no event.
    pub(super) fn of(block: &[u8]) -> Option<Fields> {
        let mut data: Option<Data> = None;
        let (mut event_type, mut id) = (None, None);
        for line in lines(block) {
            let (name, value) = field(block, line.content);
            match name {
                b"data" => {
                    data = Some(match data {
                        None => Data::Place(value),
                        Some(before) => before.joined(block, value),
                    });
                }
                b"event" => event_type = Some(value),
                b"id" if !block[value.clone()].contains(&0) => id = Some(value),
                _ => {}
            }
        }
        Some(Fields {
            data: data?,
            event_type,
            id,
        })
    }

    pub(crate) fn data<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        match &self.data {
            Data::Place(place) => &raw[place.clone()],
            Data::Joined(joined) => joined,
        }
    }

    pub(crate) fn into_data(self, raw: &Bytes) -> Bytes {
        match self.data {
            Data::Place(place) => raw.slice(place),
            Data::Joined(joined) => joined.into(),
        }
    }
}

impl Data {
    fn joined(self, block: &[u8], next: Range<usize>) -> Data {
        let mut joined = match self {
            Data::Place(place) => block[place].to_vec(),
            Data::Joined(joined) => joined,
        };
        joined.push(b'\n');
        joined.extend_from_slice(&block[next]);
        Data::Joined(joined)
    }
}

impl EventFields {
    pub(crate) fn new(fields: &Fields, raw: &[u8], access: Access) -> EventFields {
        let text = |place: &Option<Range<usize>>| {
            let place = place.clone()?;
            Some(String::from_utf8_lossy(&raw[place]).into_owned())
        };
        EventFields {
            event_type: text(&fields.event_type),
            id: text(&fields.id),
            access,
            is_changed: false,
        }
    }

    /// The value of the `event` field. `None` if there is none, which means `message`.
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    /// The value of the `id` field.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Changes the type; `None` removes the field. [`EditError::InvalidValue`] for CR, LF or NUL, which would end the
    /// field or the event.
    pub fn set_event_type(&mut self, value: Option<&str>) -> Result<(), EditError> {
        self.access.check_edit()?;
        if value.is_some_and(|value| value.contains(['\r', '\n', '\0'])) {
            return Err(EditError::InvalidValue);
        }
        self.event_type = value.map(str::to_owned);
        self.is_changed = true;
        Ok(())
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }
}

/// The event with other data or another type. All other fields and comments stay as they are, before these.
pub(crate) fn changed(raw: &[u8], data: &[u8], event: &EventFields) -> Bytes {
    let mut out = Vec::with_capacity(raw.len() + data.len());
    for line in lines(raw).take_while(|line| !line.content.is_empty()) {
        let is_kept = match field(raw, line.content).0 {
            b"data" => false,
            b"event" => !event.is_changed,
            _ => true,
        };
        if is_kept {
            out.extend_from_slice(&raw[line.whole]);
        }
    }
    if event.is_changed
        && let Some(event_type) = &event.event_type
    {
        write_field(b"event", event_type.as_bytes(), &mut out);
    }
    write_data(data, &mut out);
    out.into()
}

/// An event of this data.
pub(crate) fn added(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 16);
    write_data(data, &mut out);
    out.into()
}

/// Writes the data, a field for each line of it, and the empty line behind the event. A reader sees an LF for every
/// line end.
fn write_data(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        write_field(b"data", &rest[..end], out);
        rest = &rest[end + line_end(&rest[end..])..];
    }
    write_field(b"data", rest, out);
    out.push(b'\n');
}

fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A line: without its end, and with it.
struct Line {
    content: Range<usize>,
    whole: Range<usize>,
}

/// The lines of bytes in which every line has an end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> + '_ {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let end = begin + memchr::memchr2(b'\n', b'\r', bytes.get(begin..)?)?;
        let behind = end + line_end(&bytes[end..]);
        let line = Line {
            content: begin..end,
            whole: begin..behind,
        };
        begin = behind;
        Some(line)
    })
}

/// The name of the field in a line, and where its value is: behind the first colon and one space, if there is one. A
/// comment has an empty name.
fn field(bytes: &[u8], line: Range<usize>) -> (&[u8], Range<usize>) {
    let content = &bytes[line.clone()];
    match memchr::memchr(b':', content) {
        Some(colon) => {
            let space = usize::from(content[colon + 1..].starts_with(b" "));
            (&content[..colon], line.start + colon + 1 + space..line.end)
        }
        None => (content, line.end..line.end),
    }
}
