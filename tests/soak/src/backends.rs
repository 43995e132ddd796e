//! Backends that record each request in the ledger, and in their answers what they received.

use super::digest::Digest;
use super::ledger::Ledger;
use super::setting::STAMPS;
use pace_kit::{Answer, HttpBackend, Request};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The number of a request, in both directions.
pub(crate) const ID: &str = "x-soak-id";

/// The [`Digest`] of the request's body.
pub(crate) const SEEN_BODY: &str = "x-soak-body";

/// A body that the backend sends a piece at a time, with pauses.
pub(crate) const SLOW: Stream = Stream {
    path: "/stream/slow",
    pieces: 32,
    pause: Duration::from_millis(50),
};

/// A body that is sent without pauses, and is larger than sockets' buffers.
pub(crate) const LARGE: Stream = Stream {
    path: "/stream/large",
    pieces: 256,
    pause: Duration::ZERO,
};

/// A long answer.
pub(crate) struct Stream {
    pub(crate) path: &'static str,
    pieces: u64,
    pause: Duration,
}

const PIECE: usize = 32 << 10;

impl Stream {
    /// The digest of the body that a client receives if nothing is lost.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        (0..self.pieces).for_each(|number| digest.add(&piece(number)));
        digest
    }

    fn answer(&self) -> Answer {
        let pause = self.pause;
        // Each piece but the first comes after a pause.
        Answer::chunks((0..self.pieces).map(move |number| {
            if number > 0 {
                thread::sleep(pause);
            }
            piece(number)
        }))
    }
}

/// Starts a backend, which serves until it is dropped.
pub(crate) fn start(ledger: &Arc<Ledger>) -> HttpBackend {
    let ledger = Arc::clone(ledger);
    HttpBackend::forgetful(move |request| {
        let id = request.headers.get(ID).and_then(|id| id.parse().ok());
        let Some(id) = id else {
            // A request without its number gets no answer, which its client notices.
            return Answer::hang_up();
        };
        ledger.arrived(id);
        answer(request)
    })
}

fn answer(request: &Request) -> Answer {
    let seen = |name: &str| request.headers.get(name).unwrap_or_default().to_owned();
    let streams = [SLOW, LARGE];
    let stream = streams.iter().find(|stream| stream.path == request.target);
    let answer = stream.map_or_else(|| Answer::new("ok"), Stream::answer);
    let answer = answer
        .header(ID, seen(ID))
        .header(SEEN_BODY, Digest::of(&request.body).to_string());
    STAMPS.iter().fold(answer, |answer, stamp| match stamp.seen {
        Some(name) => answer.header(name, seen(stamp.header)),
        None => answer,
    })
}

/// Bytes that differ from piece to piece.
fn piece(number: u64) -> Vec<u8> {
    (0..PIECE as u64)
        .map(|place| (number * 7 + place * 31 + place / 251) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Kind, Outcome, Tally};
    use super::*;
    use pace_kit::{Client, Response};

    fn ask(path: &str, body: &[u8]) -> (Response, Tally) {
        let ledger = Arc::new(Ledger::new());
        let backend = start(&ledger);
        let id = ledger.issue(Kind::Post);
        let request = Request::post(path, body)
            .header(ID, id.to_string())
            .header(STAMPS[1].header, "abcd")
            .header(STAMPS[2].header, "efgh");
        let answer = Client::new(backend.address()).send(&request);
        ledger.settle(id, Outcome::Answered);
        (answer, ledger.close())
    }

    #[test]
    fn request_is_recorded_in_answer_and_ledger() {
        let (answer, tally) = ask("/", b"hello");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(ID), Some("1"));
        let stamps = STAMPS.map(|stamp| answer.header(stamp.seen?));
        assert_eq!(stamps, [None, Some("abcd"), Some("efgh")]);
        let digest = Digest::of(b"hello").to_string();
        assert_eq!(answer.header(SEEN_BODY), Some(digest.as_str()));
        assert_eq!((tally.answered, tally.contradictions), (1, 0));
    }

    #[test]
    fn request_without_number_is_not_answered() {
        let backend = start(&Arc::new(Ledger::new()));
        let mut client = Client::new(backend.address());
        assert!(client.try_send(&Request::get("/")).is_err());
    }

    #[test]
    fn stream_matches_its_digest() {
        let (answer, _) = ask(LARGE.path, b"hello");
        assert_eq!(Digest::of(&answer.body), LARGE.digest());
        assert_ne!(LARGE.digest(), SLOW.digest());
    }
}
