//! The texts of a request that are told of it, in one piece of memory.

/// A text of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The request's id.
    Id,
    /// The method as sent.
    Method,
    /// The host as sent.
    Host,
    /// The path as sent.
    Path,
    /// The query as sent, without its `?`.
    Query,
    /// `User-Agent`
    UserAgent,
    /// `Referer`
    Referrer,
    /// The route.
    Route,
    /// The pool.
    Pool,
    /// The backend of the last attempt.
    Backend,
}

const PARTS: usize = 10;

impl Part {
    /// The most bytes that are kept. All of them together have less than [`u16::MAX`].
    const fn limit(self) -> usize {
        match self {
            Part::Path | Part::Query => 8192,
            Part::Referrer => 2048,
            Part::UserAgent => 1024,
            Part::Route | Part::Backend => 512,
            Part::Host => 256,
            Part::Id => 128,
            Part::Method | Part::Pool => 64,
        }
    }
}

/// The texts.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    /// Where each part begins and ends; a part that is not there begins behind its end.
    places: [(u16, u16); PARTS],
    /// A bit for each part that was cut.
    cut: u16,
    /// A bit for each part that is there.
    there: u16,
}

impl Text {
    /// No text, with room for an ordinary request.
    pub fn new() -> Text {
        Text {
            bytes: Vec::with_capacity(256),
            ..Text::default()
        }
    }

    /// Adds a part, and cuts it if it is too long.
    pub fn add(&mut self, part: Part, text: &[u8]) {
        let kept = &text[..text.len().min(part.limit())];
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(kept);
        let bit = 1 << part as usize;
        self.there |= bit;
        if kept.len() < text.len() {
            self.cut |= bit;
        }
        self.places[part as usize] = (place(begin), place(self.bytes.len()));
    }

    /// A part, if it is there, and whether it was cut.
    pub fn part(&self, part: Part) -> Option<(&[u8], bool)> {
        let bit = 1 << part as usize;
        let (begin, end) = self.places[part as usize];
        (self.there & bit != 0).then(|| (&self.bytes[begin.into()..end.into()], self.cut & bit != 0))
    }

    /// The number of bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

fn place(at: usize) -> u16 {
    u16::try_from(at).expect("the limits of all parts are below it together")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_found_again() {
        let mut text = Text::new();
        let all = [
            Part::Id,
            Part::Method,
            Part::Host,
            Part::Path,
            Part::UserAgent,
            Part::Referrer,
            Part::Route,
            Part::Pool,
            Part::Backend,
        ];
        for part in all {
            text.add(part, &[b'x'; 100_000]);
        }
        for part in all {
            let (kept, cut) = text.part(part).expect("it is there");
            assert_eq!((kept.len(), cut), (part.limit(), true), "{part:?}");
        }
        assert_eq!(text.part(Part::Query), None);
        text.add(Part::Query, b"");
        assert_eq!(text.part(Part::Query), Some((&b""[..], false)));
    }
}
