//! A reference reader of HTTP/1.1 messages: RFC 9112 to the letter, slow, and independent of the proxy.
//!
//! The reader shares no code with the proxy, so that the two do not make the same mistakes. Each call reads the bytes
//! from the beginning, and returns one of three results: the message is complete, it is not complete yet, or no more
//! bytes can make it a message.
//!
//! Between right and wrong there are [quirks](Quirk): forms that the grammar forbids and every recipient may
//! repair, or that the grammar allows and a careful recipient may refuse. A quirk has only one meaning, which
//! the reader returns.

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

/// A message as far as it has been read.
#[derive(Clone, Debug)]
pub(crate) struct Read<Head> {
    /// The head, once it is complete.
    pub(crate) head: Option<Head>,
    /// The content so far, without its framing.
    pub(crate) body: Vec<u8>,
    /// The fields after a body in chunks.
    pub(crate) trailers: Fields,
    /// The quirks in the order in which they were met.
    pub(crate) quirks: Vec<Quirk>,
    /// The result of reading.
    pub(crate) state: State,
    /// The length of the message, once it is complete.
    pub(crate) taken: usize,
}

/// The result of reading a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The message is complete.
    Whole,
    /// The message is incomplete and has no fault so far.
    Partial,
    /// The bytes are no message, whatever follows.
    Broken(Fault),
}

impl<Head> Read<Head> {
    /// The state before anything is read.
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

    /// Whether all bytes are used up without the message having begun: there are only interim responses.
    pub(crate) fn is_to_come(&self, bytes: &[u8]) -> bool {
        self.state == State::Partial && self.head.is_none() && self.taken == bytes.len()
    }

    fn note(&mut self, quirk: Quirk) {
        if !self.quirks.contains(&quirk) {
            self.quirks.push(quirk);
        }
    }
}
