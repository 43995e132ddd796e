//! The fields of a message: lines in the order and case in which they came.
//!
//! Heads have ten to thirty fields, each of which is looked up once or twice. Lines in one piece of memory
//! are read, searched and written faster than a map is filled, and they reach the other side as they were
//! sent.

use std::ops::Range;

use crate::known::Known;

/// Field lines. Their text is in one buffer, which keeps its memory when they are cleared.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    name: Span,
    value: Span,
    known: Known,
}

/// A part of [`Fields::text`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as spelled: a token.
    pub name: &'a str,
    /// The value without the white space around it.
    pub value: &'a [u8],
    /// The meaning of the name to the proxy.
    pub known: Known,
}

/// A field would make a message larger than [`MAX_TEXT`] or [`MAX_LINES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// The most bytes that a message's fields may have, edited-away ones included: far more than any head that is
/// read.
pub const MAX_TEXT: usize = 4 << 20;

/// The most lines that a message may have: far more than any head that is read.
pub const MAX_LINES: usize = 4096;

impl Fields {
    /// No fields.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Forgets all lines and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    /// Bytes of memory held, used or not.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// All lines, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.lines.iter().map(|line| self.field(line))
    }

    /// The value of the first line of a name, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines of a name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let known = Known::of(name.as_bytes());
        self.lines
            .iter()
            .filter(move |line| line.known == known && (known != Known::Other || self.is_named(line, name)))
            .map(|line| self.slice(line.value))
    }

    /// The value of the first line of a name.
    pub fn first(&self, known: Known) -> Option<&[u8]> {
        self.all(known).next()
    }

    /// The values of all lines of a name, in order.
    pub fn all(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |line| line.known == known)
            .map(|line| self.slice(line.value))
    }

    /// The elements of a list field in all lines of a name, in order and without the white space around them,
    /// empty ones included.
    pub fn elements(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.all(known)
            .flat_map(|list| list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    }

    /// Whether there is a line of a name.
    pub fn has(&self, known: Known) -> bool {
        self.lines.iter().any(|line| line.known == known)
    }

    /// Adds a line at the end. The name must be a token and the value a field value.
    pub fn append(&mut self, name: &str, value: &[u8]) -> Result<(), TooLarge> {
        if self.lines.len() == MAX_LINES {
            return Err(TooLarge);
        }
        let line = Line {
            name: self.write(name.as_bytes())?,
            value: self.write(value)?,
            known: Known::of(name.as_bytes()),
        };
        self.lines.push(line);
        Ok(())
    }

    /// Replaces all lines of a name by one at the place of the first, or adds one. The name must be a token
    /// and the value a field value.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), TooLarge> {
        let Some(first) = self.lines.iter().position(|line| self.is_named(line, name)) else {
            return self.append(name, value);
        };
        let (spelled, value) = (self.write(name.as_bytes())?, self.write(value)?);
        self.lines[first].name = spelled;
        self.lines[first].value = value;
        self.remove_from(first + 1, name);
        Ok(())
    }

    /// Removes all lines of a name. Returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.remove_from(0, name)
    }

    /// Keeps the lines for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| {
            keep(Field {
                name: name_of(text, line),
                value: &text[line.value.range()],
                known: line.known,
            })
        });
    }

    fn remove_from(&mut self, start: usize, name: &str) -> bool {
        let before = self.lines.len();
        let mut kept = start;
        for index in start..before {
            let line = self.lines[index];
            if !self.is_named(&line, name) {
                self.lines[kept] = line;
                kept += 1;
            }
        }
        self.lines.truncate(kept);
        kept < before
    }

    /// Copies a head, whose parts can then become lines.
    pub(crate) fn begin(&mut self, head: &[u8]) {
        self.clear();
        self.text.extend_from_slice(head);
    }

    /// Adds a line whose name and value are parts of the head given to [`Fields::begin`].
    pub(crate) fn push(&mut self, name: Span, value: Span) {
        let known = Known::of(self.slice(name));
        self.lines.push(Line { name, value, known });
    }

    /// Where the value of the first line of a name is. The place stays valid even if the line is replaced or
    /// removed.
    pub(crate) fn place(&self, known: Known) -> Option<Span> {
        let line = self.lines.iter().find(|line| line.known == known)?;
        Some(line.value)
    }

    /// A part of the text.
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Span, TooLarge> {
        let (start, end) = (self.text.len(), self.text.len() + bytes.len());
        if end > MAX_TEXT {
            return Err(TooLarge);
        }
        self.text.extend_from_slice(bytes);
        Ok(Span::new(start, end))
    }

    fn is_named(&self, line: &Line, name: &str) -> bool {
        self.slice(line.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn field(&self, line: &Line) -> Field<'_> {
        Field {
            name: name_of(&self.text, line),
            value: self.slice(line.value),
            known: line.known,
        }
    }
}

fn name_of<'a>(text: &'a [u8], line: &Line) -> &'a str {
    // A token has only ASCII characters, so the default is never used.
    std::str::from_utf8(&text[line.name.range()]).unwrap_or_default()
}

impl Span {
    /// From one byte up to another. Heads are far shorter than 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The place of `part`, which must be a part of `whole`, in `whole`.
    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Span {
        let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        Span::new(start, start + part.len())
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Whether a value may stand in a field of HTTP/2: without white space at its ends (RFC 9113, section 8.2.1). What HTTP/1 drops
/// there would make one value of two for whoever compares them.
pub fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first()) && !is_space(value.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value.as_bytes()).expect("there is room");
        }
        fields
    }

    fn text(fields: &Fields) -> String {
        let lines = fields.iter().map(|field| {
            let value = std::str::from_utf8(field.value).expect("it is text");
            format!("{}: {value}", field.name)
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn lines_keep_order_and_case_and_are_found_in_any_case() {
        let fields = fields(&[("X-A", "1"), ("hOsT", "a"), ("x-a", "2")]);
        assert_eq!(text(&fields), "X-A: 1, hOsT: a, x-a: 2");
        assert_eq!(fields.get("x-A"), Some(&b"1"[..]));
        assert_eq!(fields.get_all("x-a").count(), 2);
        assert_eq!(fields.get("HOST"), fields.first(Known::Host));
        assert_eq!(fields.get("x-b"), None);
    }

    #[test]
    fn set_replaces_all_lines_at_the_place_of_the_first() {
        let mut fields = fields(&[("a", "1"), ("b", "2"), ("A", "3"), ("c", "4")]);
        fields.set("A", b"5").expect("there is room");
        assert_eq!(text(&fields), "A: 5, b: 2, c: 4");
        fields.set("d", b"6").expect("there is room");
        assert_eq!(text(&fields), "A: 5, b: 2, c: 4, d: 6");
    }

    #[test]
    fn remove_takes_every_line_and_returns_whether_there_was_one() {
        let mut fields = fields(&[("a", "1"), ("b", "2"), ("A", "3")]);
        assert!(fields.remove("a"));
        assert!(!fields.remove("a"));
        assert_eq!(text(&fields), "b: 2");
    }

    #[test]
    fn edits_beyond_the_bounds_of_bytes_or_lines_fail() {
        let mut fields = Fields::new();
        let long = vec![b'x'; MAX_TEXT / 2];
        assert_eq!(fields.set("a", &long), Ok(()));
        assert_eq!(fields.set("a", &long), Err(TooLarge));
        let mut fields = Fields::new();
        for _ in 0..MAX_LINES {
            assert_eq!(fields.append("a", b""), Ok(()));
        }
        assert_eq!(fields.append("a", b""), Err(TooLarge));
        assert_eq!(fields.set("A", b"1"), Ok(()));
        assert_eq!(fields.len(), 1);
    }
}
