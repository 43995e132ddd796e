//! Bodies that are collected for plugins while they arrive.

use std::sync::Arc;

use bytes::Bytes;

use crate::body::{Charged, Content, charged};
use crate::budget::{Budget, Permit};
use crate::decode::{Codings, DecodeError, Decoder};

/// The room that is made for a body at first, if it is as long.
const FIRST: usize = 16 * 1024;

/// A body on its way to become [`Content`]: as it was sent, and decoded if it has a coding.
///
/// All memory is taken from the budget before it is used. Whatever fails, [`Collector::into_sent`] has every byte that
/// was pushed, so that the message can go on without the plugins.
#[derive(Debug)]
pub struct Collector {
    sent: Counted,
    /// All of the body, in memory that the caller has handed over.
    whole: Option<Bytes>,
    shown: Option<Shown>,
    limit: usize,
    /// The length that the sender has announced.
    declared: Option<usize>,
}

#[derive(Debug)]
struct Shown {
    decoder: Decoder,
    /// Covers the decoder's memory.
    permit: Permit,
    bytes: Counted,
}

/// Bytes whose memory is counted.
#[derive(Debug)]
struct Counted {
    bytes: Vec<u8>,
    permit: Permit,
}

/// The reason why a body is not shown to plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectError {
    /// It has more bytes than the limit, as sent or decoded: `body-too-large`.
    TooLarge,
    /// The budget has no room for it: `body-budget`.
    Budget,
    /// It cannot be decoded: `body-encoding`.
    Encoding(DecodeError),
}

impl Collector {
    /// A collector at the start of a body, of which plugins want at most `limit` bytes in either form. `declared` is
    /// its length, if its head has one; a length beyond the limit is an error before a byte is read.
    pub fn new(
        codings: &Codings,
        limit: u32,
        declared: Option<u64>,
        budget: &Arc<Budget>,
    ) -> Result<Collector, CollectError> {
        let limit = limit.min(Content::MOST);
        if declared.is_some_and(|declared| declared > u64::from(limit)) {
            return Err(CollectError::TooLarge);
        }
        let shown = (!codings.is_empty()).then(|| Shown {
            decoder: Decoder::new(codings),
            permit: budget.permit(),
            bytes: Counted::new(budget),
        });
        Ok(Collector {
            sent: Counted::new(budget),
            whole: None,
            shown,
            limit: limit as usize,
            declared: declared.and_then(|declared| usize::try_from(declared).ok()),
        })
    }

    /// Takes bytes of the body, even if it fails: then [`Collector::into_sent`] has them too, and nothing more should
    /// be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), CollectError> {
        let after = self.sent.bytes.len() + bytes.len();
        let counted = if after > self.limit {
            Err(CollectError::TooLarge)
        } else {
            self.sent.make_room(after, self.declared.unwrap_or(0))
        };
        self.sent.bytes.extend_from_slice(bytes);
        counted?;
        match &mut self.shown {
            Some(shown) => shown.push(bytes, self.limit),
            None => Ok(()),
        }
    }

    /// Whether the whole body may be [put](Collector::put) here: nothing has come yet, and it is shown as it is sent.
    pub fn takes_whole(&self) -> bool {
        self.shown.is_none() && self.sent.bytes.is_empty() && self.whole.is_none()
    }

    /// Takes room for memory of this size, if there is as much.
    pub fn admits(&mut self, memory: usize) -> bool {
        self.sent.permit.cover(memory)
    }

    /// Takes the whole body, of which nothing was pushed. Its length was announced to [`Collector::new`], and its memory is
    /// [admitted](Collector::admits).
    pub fn put(&mut self, whole: impl AsRef<[u8]> + Send + 'static) {
        debug_assert!(self.takes_whole(), "something would be lost");
        let rest = self.sent.permit.budget().permit();
        let permit = std::mem::replace(&mut self.sent.permit, rest);
        self.whole = Some(Bytes::from_owner(Charged(whole, permit)));
    }

    /// The bytes so far, as sent.
    #[cfg(test)]
    fn sent(&self) -> &[u8] {
        &self.sent.bytes
    }

    /// The content, once the body has ended.
    pub fn finish(self) -> Result<Content, (CollectError, Bytes)> {
        if let Some(whole) = self.whole {
            return Ok(Content::body(whole).with_permit(self.sent.permit));
        }
        match self.shown {
            Some(shown) => match shown.decoder.finish() {
                Ok(()) => Ok(Content::decoded(self.sent.into_bytes(), shown.bytes.bytes)
                    .with_permit(shown.bytes.permit)),
                Err(error) => Err((CollectError::Encoding(error), self.sent.into_bytes())),
            },
            None => {
                let permit = self.sent.permit.budget().permit();
                Ok(Content::body(self.sent.into_bytes()).with_permit(permit))
            }
        }
    }

    /// Every byte that was pushed.
    pub fn into_sent(self) -> Bytes {
        self.whole.unwrap_or_else(|| self.sent.into_bytes())
    }
}

impl Shown {
    fn push(&mut self, mut bytes: &[u8], limit: usize) -> Result<(), CollectError> {
        loop {
            let before = self.bytes.bytes.len();
            // One byte more than the limit tells that there are more.
            let room = (limit + 1 - before.min(limit)).min(FIRST);
            self.bytes.make_room(before + room, 0)?;
            let decoded = self.decoder.decode(&mut bytes, &mut self.bytes.bytes, room);
            decoded.map_err(CollectError::Encoding)?;
            if !self.permit.cover(self.decoder.memory()) {
                return Err(CollectError::Budget);
            }
            let after = self.bytes.bytes.len();
            if after > limit {
                return Err(CollectError::TooLarge);
            }
            if after - before < room {
                return Ok(());
            }
        }
    }
}

impl Counted {
    fn new(budget: &Arc<Budget>) -> Counted {
        Counted {
            bytes: Vec::new(),
            permit: budget.permit(),
        }
    }

    /// Makes room for `size` bytes in all, of which more may follow, up to `expected` if that is known. A length that
    /// was only announced gets no memory beyond twice of what is there.
    fn make_room(&mut self, size: usize, expected: usize) -> Result<(), CollectError> {
        if size <= self.bytes.capacity() {
            return Ok(());
        }
        let next = (2 * self.bytes.capacity()).max(FIRST);
        let next = if expected >= size {
            next.min(expected)
        } else {
            next
        };
        let capacity = [next.max(size), size]
            .into_iter()
            .find(|capacity| self.permit.cover(*capacity));
        let capacity = capacity.ok_or(CollectError::Budget)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        charged(self.bytes, Some(self.permit))
    }
}

#[cfg(test)]
mod tests;
