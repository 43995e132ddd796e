//! A reference reader of HTTP/1.1 messages: RFC 9112 to the letter, slow, and independent of the proxy.
//!
//! It shares no code with the proxy, so that a mistake of one is not repeated by the other. It reads what is there from
//! the beginning each time it is asked, and says one of three things: the message is whole, it is not whole yet, or
//! no more bytes can make it one.
//!
//! Between right and wrong there are [quirks](Quirk): what the grammar forbids and every recipient may mend, or what the
//! grammar allows and a careful recipient may refuse. A quirk has one meaning only, and that is what the reader
//! returns.

mod body;
mod bytes;
mod fault;
mod fields;
mod request;
mod response;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use bytes::{is_token, trim};
pub(crate) use fault::{Fault, Quirk};
pub(crate) use fields::Fields;
pub(crate) use request::{RequestHead, read_request};
pub(crate) use response::{ResponseHead, read_response};
pub(crate) use target::{normal, path};

/// As much of a message as there is.
#[derive(Clone, Debug)]
pub(crate) struct Read<Head> {
    /// Once it is whole.
    pub(crate) head: Option<Head>,
    /// The content so far, without its framing.
    pub(crate) body: Vec<u8>,
    /// The fields after a body in chunks.
    pub(crate) trailers: Fields,
    /// In the order in which they were met.
    pub(crate) quirks: Vec<Quirk>,
    /// How it ended.
    pub(crate) state: State,
    /// How many bytes belong to it, once it is whole.
    pub(crate) taken: usize,
}

/// How the reading of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// All of it is there.
    Whole,
    /// There is no fault in it yet.
    Partial,
    /// It is no message, whatever follows.
    Broken(Fault),
}

impl<Head> Read<Head> {
    /// Nothing read so far.
    fn nothing() -> Read<Head> {
        Read {
            head: None,
            body: Vec::new(),
            trailers: Fields::default(),
            quirks: Vec::new(),
            state: State::Partial,
            taken: 0,
        }
    }

    fn ended(self, state: State) -> Read<Head> {
        Read { state, ..self }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// Whether nothing of these bytes is left over, and yet the message has not begun: there are interim responses only.
    pub(crate) fn is_to_come(&self, bytes: &[u8]) -> bool {
        self.state == State::Partial && self.head.is_none() && self.taken == bytes.len()
    }

    fn note(&mut self, quirk: Quirk) {
        if !self.quirks.contains(&quirk) {
            self.quirks.push(quirk);
        }
    }
}
