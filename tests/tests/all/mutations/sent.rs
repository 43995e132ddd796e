//! The messages that a client has sent on one connection, as the reference reader reads them.

use super::reader::{Fault, Read, RequestHead, State, read_request};
use super::rules::{Rule, rule};

/// Messages one after the other, and the rest.
pub(crate) struct Sent {
    pub(crate) messages: Vec<Message>,
    /// The rest after the messages.
    pub(crate) tail: Tail,
    /// The head of the rest, if it is complete and right.
    pub(crate) tail_head: Option<RequestHead>,
}

/// A complete request.
pub(crate) struct Message {
    pub(crate) read: Read<RequestHead>,
    /// The positions of the message's beginning and end.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) rule: Rule,
}

/// The bytes after the last complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// No bytes that matter: there are none, or the connection was to end before them.
    Nothing,
    /// An incomplete request.
    Unfinished,
    Broken(Fault),
}

impl Sent {
    pub(crate) fn read(bytes: &[u8]) -> Sent {
        let mut messages = Vec::new();
        let mut start = 0;
        loop {
            let read = read_request(&bytes[start..]);
            let tail_head = read.head.clone();
            let tail = match read.state {
                State::Partial if start == bytes.len() => Tail::Nothing,
                State::Partial => Tail::Unfinished,
                State::Broken(fault) => Tail::Broken(fault),
                State::Whole => {
                    let end = start + read.taken;
                    let closes = read.head.as_ref().is_some_and(RequestHead::closes);
                    let rule = rule(&read);
                    messages.push(Message {
                        read,
                        start,
                        end,
                        rule,
                    });
                    start = end;
                    match closes {
                        true => Tail::Nothing,
                        false => continue,
                    }
                }
            };
            return Sent {
                messages,
                tail,
                tail_head,
            };
        }
    }

    /// Whether the connection has to end after the last message or within the rest.
    pub(crate) fn closes(&self) -> bool {
        let last = self
            .messages
            .last()
            .and_then(|message| message.read.head.as_ref());
        matches!(self.tail, Tail::Broken(_))
            || self.refused().is_some()
            || last.is_some_and(RequestHead::closes)
    }

    /// The number of the first message that must be refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        let refuse = |message: &Message| matches!(message.rule, Rule::Refuse(_));
        self.messages.iter().position(refuse)
    }
}
