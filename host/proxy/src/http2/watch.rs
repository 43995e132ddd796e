//! Watches the frames of a connection for events that the crate `h2` does not report: requests that it refuses, and
//! connections that it ends; and for floods, which it would answer for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use h2::Reason;
use pace_wire::refusal::Refusal;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::PREFACE;
use super::allowance::Allowance;
use super::frames::{Frame, Frames, kind};

/// The watch over the bytes of a connection in both directions.
#[derive(Debug)]
pub(super) struct Watch {
    received: Frames,
    sent: Frames,
    allowance: Allowance,
    is_flooded: bool,
    /// The streams that were refused with an answer, and will be reset as well.
    answered: Vec<u32>,
    seen: Arc<Seen>,
}

/// The news from a connection's frames, for the code that serves the connection. Both run in one task, so no lock is
/// ever waited for.
#[derive(Debug, Default)]
pub struct Seen {
    has_news: AtomicBool,
    is_flooded: AtomicBool,
    /// Whether the client does not take what is written.
    is_blocked: AtomicBool,
    /// The error in the GOAWAY that was sent, plus one; 0 if none was.
    ended: AtomicU32,
    /// The streams that were refused since the last [`Seen::take`]. Locked only if there is one.
    refused: Mutex<Vec<(u32, Refusal)>>,
    accepted: Accepted,
}

/// The error of the client with which a connection was ended (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client broke the protocol.
    ProtocolError,
    /// The client sent more than its windows allow.
    FlowControlError,
    /// The client used a stream that is over.
    StreamClosed,
    /// A frame has a length that it cannot have.
    FrameSizeError,
    /// Fields cannot be decompressed.
    CompressionError,
    /// The client sent too many frames that carry nothing, or had too many streams reset.
    EnhanceYourCalm,
    /// Any other error.
    Other,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch {
            received: Frames::behind(PREFACE.len()),
            sent: Frames::behind(0),
            allowance: Allowance::new(Instant::now()),
            is_flooded: false,
            answered: Vec::new(),
            seen: Arc::default(),
        }
    }

    pub(super) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Whether the client has sent so many frames that carry nothing that no more must be read.
    pub(super) fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// Notes bytes that have been read.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let Watch {
            received,
            allowance,
            is_flooded,
            ..
        } = self;
        received.pass(bytes, |frame| match frame.kind {
            kind::DATA | kind::HEADERS if frame.length > 0 => allowance.give(),
            // They have bounds of their own.
            kind::DATA | kind::HEADERS | kind::CONTINUATION | kind::RST_STREAM => {}
            _ => *is_flooded |= !allowance.take(Instant::now),
        });
        if self.is_flooded {
            self.seen.is_flooded.store(true, Relaxed);
        }
    }

    /// Notes bytes that have been written.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Watch {
            sent,
            allowance,
            answered,
            seen,
            ..
        } = self;
        sent.pass(bytes, |frame| match frame.kind {
            kind::DATA => allowance.give(),
            kind::HEADERS => {
                allowance.give();
                if !seen.accepted.has(frame.stream) {
                    // The crate answers nothing by itself but heads that are too large.
                    seen.refused(frame.stream, Refusal::HeadTooLarge);
                    answered.push(frame.stream);
                }
            }
            kind::RST_STREAM if !seen.accepted.has(frame.stream) => {
                match answered.iter().position(|stream| *stream == frame.stream) {
                    Some(place) => drop(answered.swap_remove(place)),
                    None => seen.refused(frame.stream, refusal(&frame)),
                }
            }
            kind::GOAWAY if frame.error != u32::from(Reason::NO_ERROR) => seen.ended(frame.error),
            _ => {}
        });
    }
}

/// The reason for the reset of a stream that was no request yet.
fn refusal(reset: &Frame) -> Refusal {
    match Reason::from(reset.error) {
        Reason::REFUSED_STREAM => Refusal::TooManyStreams,
        _ => Refusal::MalformedHead,
    }
}

impl Seen {
    /// Notes that a stream is a request: its answers are the proxy's. It may have been reset already, because of its
    /// body.
    pub fn accept(&self, stream: u32) {
        self.accepted.add(stream);
        if self.has_news.load(Relaxed) {
            self.refused.lock().retain(|(refused, _)| *refused != stream);
        }
    }

    /// Whether the client has flooded the connection. Returns `true` once.
    pub fn take_flood(&self) -> bool {
        self.is_flooded.load(Relaxed) && self.is_flooded.swap(false, Relaxed)
    }

    /// Calls `refused` for each stream that was refused since the last call, and `ended` if the connection was ended.
    /// To be called when every request that has come is [accepted](Seen::accept).
    pub fn take(&self, mut refused: impl FnMut(Refusal), ended: impl FnOnce(Ending)) {
        if !self.has_news.load(Relaxed) {
            return;
        }
        self.has_news.store(false, Relaxed);
        for (_, refusal) in self.refused.lock().drain(..) {
            refused(refusal);
        }
        if let Some(error) = self.ended.swap(0, Relaxed).checked_sub(1) {
            ended(Ending::of(error));
        }
    }

    /// Whether the client does not take what is written.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked.load(Relaxed)
    }

    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Relaxed);
    }

    fn refused(&self, stream: u32, refusal: Refusal) {
        self.refused.lock().push((stream, refusal));
        self.has_news.store(true, Relaxed);
    }

    fn ended(&self, error: u32) {
        self.ended.store(error.saturating_add(1), Relaxed);
        self.has_news.store(true, Relaxed);
    }
}

impl Ending {
    /// Every error.
    pub const ALL: [Ending; 7] = [
        Ending::ProtocolError,
        Ending::FlowControlError,
        Ending::StreamClosed,
        Ending::FrameSizeError,
        Ending::CompressionError,
        Ending::EnhanceYourCalm,
        Ending::Other,
    ];

    fn of(error: u32) -> Ending {
        match Reason::from(error) {
            Reason::PROTOCOL_ERROR => Ending::ProtocolError,
            Reason::FLOW_CONTROL_ERROR => Ending::FlowControlError,
            Reason::STREAM_CLOSED => Ending::StreamClosed,
            Reason::FRAME_SIZE_ERROR => Ending::FrameSizeError,
            Reason::COMPRESSION_ERROR => Ending::CompressionError,
            Reason::ENHANCE_YOUR_CALM => Ending::EnhanceYourCalm,
            _ => Ending::Other,
        }
    }

    /// The name in metrics and the log: the RFC's, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Ending::ProtocolError => "protocol_error",
            Ending::FlowControlError => "flow_control_error",
            Ending::StreamClosed => "stream_closed",
            Ending::FrameSizeError => "frame_size_error",
            Ending::CompressionError => "compression_error",
            Ending::EnhanceYourCalm => "enhance_your_calm",
            Ending::Other => "other",
        }
    }
}

/// The set of streams that have become requests, among the newest ones. Older streams, which are long over, count as
/// members.
#[derive(Debug, Default)]
struct Accepted {
    /// The number of streams up to the newest member, skipped ones included.
    count: AtomicU32,
    bits: [AtomicU64; WORDS as usize],
}

/// The number of words for the newest streams. They have room for five times as many as there may be at once.
const WORDS: u32 = 8;
const KEPT: u32 = WORDS * u64::BITS;

impl Accepted {
    /// Adds a stream, whose number is odd and larger than those before (RFC 9113, section 5.1.1).
    fn add(&self, stream: u32) {
        let (nth, count) = (stream / 2, self.count.load(Relaxed));
        for passed_over in count.max(nth.saturating_sub(KEPT))..nth {
            let (word, bit) = self.place(passed_over);
            word.store(word.load(Relaxed) & !bit, Relaxed);
        }
        let (word, bit) = self.place(nth);
        word.store(word.load(Relaxed) | bit, Relaxed);
        self.count.store(count.max(nth + 1), Relaxed);
    }

    fn has(&self, stream: u32) -> bool {
        let (nth, count) = (stream / 2, self.count.load(Relaxed));
        if nth >= count {
            return false;
        }
        let (word, bit) = self.place(nth);
        count - nth > KEPT || word.load(Relaxed) & bit != 0
    }

    fn place(&self, nth: u32) -> (&AtomicU64, u64) {
        let place = nth % KEPT;
        (&self.bits[(place / u64::BITS) as usize], 1 << (place % u64::BITS))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, 0];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn reset(stream: u32, reason: Reason) -> Vec<u8> {
        frame(kind::RST_STREAM, stream, &u32::from(reason).to_be_bytes())
    }

    fn taken(seen: &Seen) -> (Vec<Refusal>, Option<&'static str>) {
        let (mut refused, mut ended) = (Vec::new(), None);
        seen.take(
            |refusal| refused.push(refusal),
            |ending| ended = Some(ending.name()),
        );
        (refused, ended)
    }

    #[test]
    fn streams_that_are_no_requests_are_refused_for_their_reasons() {
        let mut watch = Watch::new();
        let seen = Arc::clone(watch.seen());
        seen.accept(3);
        let bytes = [
            reset(1, Reason::PROTOCOL_ERROR),
            // The answer of a request, and its reset.
            frame(kind::HEADERS, 3, b"ok"),
            reset(3, Reason::NO_ERROR),
            // Two heads that are too large.
            frame(kind::HEADERS, 5, b"431"),
            frame(kind::HEADERS, 7, b"431"),
            reset(5, Reason::PROTOCOL_ERROR),
            reset(9, Reason::REFUSED_STREAM),
            reset(7, Reason::PROTOCOL_ERROR),
            // A request that was reset before it was handed over.
            reset(11, Reason::PROTOCOL_ERROR),
        ];
        watch.sent(&bytes.concat());
        seen.accept(11);
        let refused = [
            Refusal::MalformedHead,
            Refusal::HeadTooLarge,
            Refusal::HeadTooLarge,
            Refusal::TooManyStreams,
        ];
        assert_eq!(taken(&seen), (refused.to_vec(), None));
        assert_eq!(taken(&seen), (vec![], None), "it is told once");
    }

    #[test]
    fn end_is_told_unless_it_is_orderly() {
        let mut watch = Watch::new();
        let seen = Arc::clone(watch.seen());
        let goaway = |error: u32| frame(kind::GOAWAY, 0, &[&[0; 4][..], &error.to_be_bytes()].concat());
        watch.sent(&goaway(0));
        assert_eq!(taken(&seen).1, None);
        watch.sent(&goaway(11));
        assert_eq!(taken(&seen).1, Some("enhance_your_calm"));
        watch.sent(&goaway(u32::MAX));
        assert_eq!(taken(&seen).1, Some("other"));
    }

    #[test]
    fn flood_is_seen_in_what_is_received_and_not_in_what_is_answered() {
        let pings = |count: usize| frame(6, 0, &[0; 8]).repeat(count);
        let mut watch = Watch::new();
        watch.received(PREFACE);
        watch.sent(&pings(5000));
        watch.received(&pings(900));
        assert!(!watch.is_flooded() && !watch.seen().take_flood());
        watch.received(&frame(kind::DATA, 1, b"data").repeat(500));
        watch.received(&pings(900));
        assert!(!watch.is_flooded());
        watch.received(&pings(5000));
        assert!(watch.is_flooded() && watch.seen().take_flood());
        assert!(watch.is_flooded() && !watch.seen().take_flood());
    }

    proptest! {
        #[test]
        fn newest_streams_are_known_as_a_set_would_know_them(
            steps in prop::collection::vec(1..20_u32, 0..300),
        ) {
            let (accepted, mut set, mut newest) = (Accepted::default(), HashSet::new(), 0);
            for step in steps {
                newest += step;
                accepted.add(2 * newest - 1);
                set.insert(newest - 1);
                for nth in newest.saturating_sub(KEPT)..newest + 20 {
                    prop_assert_eq!(accepted.has(2 * nth + 1), set.contains(&nth), "{} of {}", nth, newest);
                }
            }
        }
    }
}
