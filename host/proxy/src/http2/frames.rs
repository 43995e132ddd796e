//! Finds frames (RFC 9113, section 4.1) in bytes that pass.

/// The types of frames that are told apart (section 6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// The number of bytes before a frame's payload.
const HEAD: usize = 9;

/// The most bytes of a payload that are looked at: those of GOAWAY up to its error.
const LOOKED_AT: usize = 8;

/// The facts about a frame whose beginning has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    /// The number of bytes of the payload.
    pub(super) length: u32,
    /// The error in RST_STREAM and GOAWAY, else 0.
    pub(super) error: u32,
}

/// Finds frames in one direction of a connection, in pieces of any length.
#[derive(Debug)]
pub(super) struct Frames {
    begin: [u8; HEAD + LOOKED_AT],
    /// The number of bytes in `begin`.
    begun: usize,
    /// The number of bytes before the next frame.
    skipped: usize,
}

impl Frames {
    /// A finder for frames that follow so many other bytes.
    pub(super) fn behind(preface: usize) -> Frames {
        Frames {
            begin: [0; HEAD + LOOKED_AT],
            begun: 0,
            skipped: preface,
        }
    }

    /// Reads the next bytes, and calls `each` with every frame whose beginning has passed.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let count = self.skipped.min(bytes.len());
                self.skipped -= count;
                bytes = &bytes[count..];
                continue;
            }
            let count = (self.wanted() - self.begun).min(bytes.len());
            self.begin[self.begun..][..count].copy_from_slice(&bytes[..count]);
            self.begun += count;
            bytes = &bytes[count..];
            if self.begun >= HEAD && self.begun == self.wanted() {
                each(self.frame());
                self.skipped = self.length() - (self.begun - HEAD);
                self.begun = 0;
            }
        }
    }

    /// The number of bytes that `begin` needs.
    fn wanted(&self) -> usize {
        if self.begun < HEAD {
            return HEAD;
        }
        let looked_at = match self.begin[3] {
            kind::RST_STREAM => 4,
            kind::GOAWAY => LOOKED_AT,
            _ => 0,
        };
        HEAD + looked_at.min(self.length())
    }

    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.begin;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    fn frame(&self) -> Frame {
        // A payload may be too short for an error.
        let number = |at: usize| {
            let bytes = self.begin[..self.begun].get(at..);
            bytes
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        Frame {
            kind: self.begin[3],
            stream: number(5) & 0x7fff_ffff,
            length: self.length() as u32,
            error: match self.begin[3] {
                kind::RST_STREAM => number(HEAD),
                kind::GOAWAY => number(HEAD + 4),
                _ => 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn frames(pieces: &[&[u8]], preface: usize) -> Vec<Frame> {
        let (mut found, mut frames) = (Vec::new(), Frames::behind(preface));
        for piece in pieces {
            frames.pass(piece, |frame| found.push(frame));
        }
        found
    }

    #[test]
    fn errors_are_found_where_a_frame_has_them() {
        let goaway = [0, 0, 0, 9, 0, 0, 0, 11, b'w', b'h', b'y'];
        let bytes = [
            encode(kind::RST_STREAM, 5, &[0, 0, 0, 7]),
            encode(kind::GOAWAY, 0, &goaway),
            encode(6, 0x8000_0001, &[0xff; 8]),
            encode(kind::RST_STREAM, 7, &[1, 2]),
        ]
        .concat();
        let of = |kind, stream, length, error| Frame {
            kind,
            stream,
            length,
            error,
        };
        assert_eq!(
            frames(&[&bytes], 0),
            [
                of(kind::RST_STREAM, 5, 4, 7),
                of(kind::GOAWAY, 0, 11, 11),
                of(6, 1, 8, 0),
                of(kind::RST_STREAM, 7, 2, 0),
            ]
        );
    }

    proptest! {
        #[test]
        fn frames_are_the_same_in_whatever_pieces_they_come(
            sent in prop::collection::vec((0..12_u8, any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            preface in 0..30_usize,
        ) {
            let mut bytes = vec![0; preface];
            for (kind, stream, payload) in &sent {
                bytes.extend(encode(*kind, *stream, payload));
            }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let found = frames(&pieces, preface);
            prop_assert_eq!(&found, &frames(&[&bytes], preface));
            let expected: Vec<_> = sent
                .iter()
                .map(|(kind, stream, payload)| (*kind, stream & 0x7fff_ffff, payload.len() as u32))
                .collect();
            let found: Vec<_> = found.iter().map(|frame| (frame.kind, frame.stream, frame.length)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
