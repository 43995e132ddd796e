//! The places of all values of a document.

use std::ops::Range;

/// The entries of a document, in the order of its bytes.
///
/// A list or an object has two: its place, and behind it where its last descendant's entries end and how many elements it
/// has. Every other value has one, and so has the name of a member, which comes before its value. What kind of value it is
/// stands in the content itself, in its first byte.
#[derive(Debug, Default)]
pub(super) struct Tape {
    entries: Vec<Entry>,
}

/// Two numbers: the begin and the end of a value in the content, or the next entry behind a list and the number of its
/// elements.
#[derive(Clone, Copy, Debug)]
struct Entry(u32, u32);

/// The kind of a value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    /// `null`, `true` or `false`.
    Literal,
    Number,
}

impl Tape {
    /// A tape for a content of so many bytes, with room for what is usual.
    pub(super) fn of(bytes: usize) -> Tape {
        Tape {
            entries: Vec::with_capacity(bytes / 8 + 2),
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// The number of the entry that comes next.
    pub(super) fn next(&self) -> u32 {
        // There are at most two entries for two bytes of the content, whose length is an u32.
        self.entries.len() as u32
    }

    #[inline]
    pub(super) fn push(&mut self, begin: usize, end: usize) {
        self.entries.push(Entry(begin as u32, end as u32));
    }

    /// Adds a list or an object whose end is not known yet, and returns its number.
    #[inline]
    pub(super) fn open(&mut self, begin: usize) -> u32 {
        let at = self.next();
        self.entries.extend([Entry(begin as u32, 0), Entry(0, 0)]);
        at
    }

    /// Notes the end of a list or an object whose elements have all been added.
    #[inline]
    pub(super) fn close(&mut self, at: u32, end: usize, count: u32) {
        let next = self.next();
        if let Some([place, inside]) = self
            .entries
            .get_mut(at as usize..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            place.1 = end as u32;
            *inside = Entry(next, count);
        }
    }

    pub(super) fn span(&self, at: u32) -> Range<u32> {
        let Entry(begin, end) = self.entries[at as usize];
        begin..end
    }

    /// The bytes of a value.
    pub(super) fn written<'a>(&self, bytes: &'a [u8], at: u32) -> &'a [u8] {
        let Entry(begin, end) = self.entries[at as usize];
        bytes.get(begin as usize..end as usize).unwrap_or_default()
    }

    pub(super) fn kind(&self, bytes: &[u8], at: u32) -> Kind {
        match bytes.get(self.entries[at as usize].0 as usize) {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b'n' | b't' | b'f') => Kind::Literal,
            _ => Kind::Number,
        }
    }

    /// The number of elements of a list or members of an object.
    pub(super) fn count(&self, at: u32) -> u32 {
        self.entries[at as usize + 1].1
    }

    /// The elements of a list.
    pub(super) fn elements<'a>(&'a self, bytes: &'a [u8], at: u32) -> impl Iterator<Item = u32> + 'a {
        self.inside(bytes, at, 0)
    }

    /// The names of the members of an object, and their values.
    pub(super) fn members<'a>(&'a self, bytes: &'a [u8], at: u32) -> impl Iterator<Item = (u32, u32)> + 'a {
        let values = self.inside(bytes, at, 1);
        values.map(|value| (value - 1, value))
    }

    /// The values in a list or an object, each of which has so many entries of its own before it.
    fn inside<'a>(&'a self, bytes: &'a [u8], at: u32, before: u32) -> impl Iterator<Item = u32> + 'a {
        let (mut next, end) = (at + 2, self.entries[at as usize + 1].0);
        std::iter::from_fn(move || {
            let value = (next < end).then_some(next + before)?;
            next = self.behind(bytes, value);
            Some(value)
        })
    }

    /// The entry behind a value and all that is in it.
    fn behind(&self, bytes: &[u8], at: u32) -> u32 {
        match self.kind(bytes, at) {
            Kind::Object | Kind::Array => self.entries[at as usize + 1].0,
            Kind::Text | Kind::Literal | Kind::Number => at + 1,
        }
    }
}
