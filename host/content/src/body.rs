//! The content for which a hook runs.

mod edit;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

pub use self::edit::{Access, EditError};
use crate::budget::Permit;
use crate::find;
use crate::hash::{Digest, Hash};
use crate::json::{Document, JsonError, Pointer, Value};

/// The bytes that a hook sees and may change: a whole body, an attempt's body, or a unit of a stream.
///
/// A body has two forms. The sent one is as its sender has sent it, and never changes: signatures are made over it, and
/// it goes on if no plugin has changed anything. The shown one is what plugins see: decoded, and with their edits. As
/// long as both are the same, they are the same memory.
///
/// Sizes and offsets are bytes. Content is at most [`Content::MOST`] bytes long.
#[derive(Debug)]
pub struct Content {
    sent: Sent,
    shown: Shown,
    changed: bool,
    access: Access,
    limit: u32,
    /// The shown form as JSON, from the first question about it to the next change.
    document: Option<Result<Document, JsonError>>,
    /// Room for what `shown` and `document` have of their own; without it they are not counted.
    permit: Option<Permit>,
    /// Whether the edits of the hook at hand can be undone, and what was there before the first of them.
    is_undoable: bool,
    before: Option<Box<Kept>>,
}

#[derive(Debug)]
enum Sent {
    /// It never was, or its memory was given back.
    NotKept,
    Kept(Bytes),
    /// A part of memory that somebody else wants back.
    Lent {
        memory: Box<[u8]>,
        place: Range<usize>,
    },
}

#[derive(Debug)]
enum Shown {
    /// The same bytes as the sent form.
    Sent,
    /// Memory that others have as well.
    Shared(Bytes),
    /// Memory that only this content has, so that edits are made in place.
    Own(Vec<u8>),
}

/// A form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As its sender has sent it.
    Sent,
    /// As plugins see it now.
    Shown,
}

/// The content before the first edit of a hook.
#[derive(Debug)]
struct Kept {
    shown: Bytes,
    changed: bool,
}

/// The sent form was asked for, and is not kept: of a unit of a stream, or of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

impl Content {
    /// The most bytes of a content: 1 GiB. Who makes one has a limit that is not greater.
    pub const MOST: u32 = 1 << 30;

    /// A body that is shown as it was sent.
    pub fn body(sent: Bytes) -> Content {
        Content::new(Sent::Kept(sent), Shown::Sent)
    }

    /// A body that is shown as it was sent, and lies in memory that is [given back](Content::give_back).
    ///
    /// # Panics
    ///
    /// If the place is not inside the memory.
    pub fn lent(memory: Box<[u8]>, place: Range<usize>) -> Content {
        assert!(place.start <= place.end && place.end <= memory.len());
        Content::new(Sent::Lent { memory, place }, Shown::Sent)
    }

    /// A body whose shown form is another than the sent one: it was decoded.
    pub fn decoded(sent: Bytes, shown: Vec<u8>) -> Content {
        Content::new(Sent::Kept(sent), Shown::Own(shown))
    }

    /// Content without a sent form: a unit of a stream, the end of one, or the body of an attempt.
    pub fn unit(shown: Bytes) -> Content {
        Content::new(Sent::NotKept, Shown::Shared(shown))
    }

    fn new(sent: Sent, shown: Shown) -> Content {
        Content {
            sent,
            shown,
            changed: false,
            access: Access::Edit,
            limit: Content::MOST,
            document: None,
            permit: None,
            is_undoable: false,
            before: None,
        }
    }

    /// Has the memory of edits and of parsed JSON counted. The permit covers what the shown form has of its own.
    pub fn with_permit(self, permit: Permit) -> Content {
        Content {
            permit: Some(permit),
            ..self
        }
    }

    /// Sets what the hook that runs next may do: its access, and the most bytes that the content may have after an edit.
    pub fn allow(&mut self, access: Access, limit: u32) {
        self.access = access;
        self.limit = limit.min(Content::MOST);
    }

    /// Whether neither form has more than so many bytes.
    pub fn fits(&self, limit: u32) -> bool {
        let sent = self.sent.bytes().map_or(0, <[u8]>::len);
        self.size() <= limit && offset(sent) <= limit
    }

    /// Whether a plugin has changed it.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The number of bytes.
    pub fn size(&self) -> u32 {
        offset(self.bytes().len())
    }

    /// The shown form.
    pub fn bytes(&self) -> &[u8] {
        self.shown.bytes(&self.sent)
    }

    /// Up to `length` bytes from `offset` on; fewer where the content ends before, none behind its end.
    pub fn read(&self, offset: u32, length: u32) -> &[u8] {
        let rest = self.bytes().get(index(offset)..).unwrap_or_default();
        &rest[..rest.len().min(index(length))]
    }

    /// The place of the first occurrence of the pattern, at `offset` or behind it.
    pub fn find(&self, pattern: &[u8], from: u32) -> Option<u32> {
        find::find(self.bytes(), pattern, index(from)).map(offset)
    }

    /// The value at a JSON Pointer.
    pub fn json(&mut self, pointer: &str) -> Result<Value<'_>, JsonError> {
        let (document, bytes, pointer) = self.document(pointer)?;
        document.value(bytes, pointer)
    }

    /// The number of elements of the list at this place, or of members of the object.
    pub fn json_length(&mut self, pointer: &str) -> Result<Option<u32>, JsonError> {
        let (document, bytes, pointer) = self.document(pointer)?;
        document.length(bytes, pointer)
    }

    /// The names of the members of the object at this place, in their order.
    pub fn json_keys(&mut self, pointer: &str) -> Result<Option<Vec<Cow<'_, str>>>, JsonError> {
        let (document, bytes, pointer) = self.document(pointer)?;
        document.keys(bytes, pointer)
    }

    /// Where the value at this place begins and ends, as it is written.
    pub fn json_span(&mut self, pointer: &str) -> Result<Option<Range<u32>>, JsonError> {
        let (document, bytes, pointer) = self.document(pointer)?;
        document.span(bytes, pointer)
    }

    /// The digest of a form.
    pub fn digest(&self, hash: Hash, of: Form) -> Result<Digest, NotKept> {
        Ok(hash.digest(self.form(of)?))
    }

    /// The HMAC by this secret of `before`, followed by a form.
    pub fn hmac(&self, hash: Hash, secret: &[u8], before: &[u8], of: Form) -> Result<Digest, NotKept> {
        Ok(hash.hmac(secret, &[before, self.form(of)?]))
    }

    /// Whether `candidate` is that HMAC. Takes as long whatever is wrong with it.
    pub fn verify_hmac(
        &self,
        hash: Hash,
        secret: &[u8],
        before: &[u8],
        of: Form,
        candidate: &[u8],
    ) -> Result<bool, NotKept> {
        Ok(hash.verify_hmac(secret, &[before, self.form(of)?], candidate))
    }

    /// The sent form in memory that can be shared; `None` where there is none.
    pub fn sent(&self) -> Option<&Bytes> {
        match &self.sent {
            Sent::Kept(sent) => Some(sent),
            Sent::NotKept | Sent::Lent { .. } => None,
        }
    }

    /// The memory that was lent, if it was. What no plugin has changed and nobody has a share of is gone from here then.
    pub fn give_back(&mut self) -> Option<Box<[u8]>> {
        match std::mem::replace(&mut self.sent, Sent::NotKept) {
            Sent::Lent { memory, .. } => Some(memory),
            sent => {
                self.sent = sent;
                None
            }
        }
    }

    /// The shown form in memory that can be shared: for several attempts, say. It is copied again for the next edit.
    pub fn share(&mut self) -> Bytes {
        let shown = match (std::mem::replace(&mut self.shown, Shown::Sent), &self.sent) {
            (Shown::Shared(bytes), _) => bytes,
            (Shown::Own(bytes), _) => self.charge(bytes),
            (Shown::Sent, Sent::Kept(bytes)) => bytes.clone(),
            (Shown::Sent, Sent::Lent { memory, place }) => {
                let copy = memory[place.clone()].to_vec();
                if let Some(permit) = &mut self.permit {
                    permit.cover_beyond(copy.len());
                }
                self.charge(copy)
            }
            (Shown::Sent, Sent::NotKept) => Bytes::new(),
        };
        self.shown = Shown::Shared(shown.clone());
        shown
    }

    /// Has these bytes give back what the permit covers so far.
    fn charge(&mut self, bytes: Vec<u8>) -> Bytes {
        let next = self.permit.as_ref().map(|permit| permit.budget().permit());
        charged(bytes, std::mem::replace(&mut self.permit, next))
    }

    /// Sets whether what the hook that runs next changes can be undone. Then it is copied for the first edit.
    pub fn keep(&mut self, is_undoable: bool) {
        self.is_undoable = is_undoable;
        self.before = None;
    }

    /// Undoes the edits since [`Content::keep`].
    pub fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            self.shown = Shown::Shared(before.shown);
            self.changed = before.changed;
            self.document = None;
        }
    }

    /// The bytes to send on: the sent form if no plugin has changed anything, else the shown one.
    pub fn into_outgoing(mut self) -> Bytes {
        match std::mem::replace(&mut self.sent, Sent::NotKept) {
            Sent::Kept(sent) if !self.changed => sent,
            sent => {
                self.sent = sent;
                self.into_shown()
            }
        }
    }

    /// The shown form.
    pub fn into_shown(mut self) -> Bytes {
        self.share()
    }

    fn form(&self, form: Form) -> Result<&[u8], NotKept> {
        match form {
            Form::Sent => self.sent.bytes().ok_or(NotKept),
            Form::Shown => Ok(self.bytes()),
        }
    }

    /// The parsed content and the pointer. A pointer that is none is refused first, so that the answer does not depend on the
    /// content.
    fn document<'p>(&mut self, pointer: &'p str) -> Result<(&Document, &[u8], Pointer<'p>), JsonError> {
        let pointer = Pointer::parse(pointer)?;
        let bytes = self.shown.bytes(&self.sent);
        let parsed = self.document.get_or_insert_with(|| {
            let parsed = Document::parse(bytes);
            if let (Ok(document), Some(permit)) = (&parsed, &mut self.permit) {
                let own = if let Shown::Own(own) = &self.shown {
                    own.capacity()
                } else {
                    0
                };
                permit.cover_beyond(own + document.memory());
            }
            parsed
        });
        match parsed {
            Ok(document) => Ok((document, bytes, pointer)),
            Err(error) => Err(*error),
        }
    }
}

impl Sent {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Sent::NotKept => None,
            Sent::Kept(bytes) => Some(bytes),
            Sent::Lent { memory, place } => Some(&memory[place.clone()]),
        }
    }
}

impl Shown {
    fn bytes<'a>(&'a self, sent: &'a Sent) -> &'a [u8] {
        match self {
            Shown::Sent => sent.bytes().unwrap_or_default(),
            Shown::Shared(bytes) => bytes,
            Shown::Own(bytes) => bytes,
        }
    }
}

/// Memory, and the room that it takes of the budget.
pub(crate) struct Charged<T>(
    pub(crate) T,
    #[expect(dead_code, reason = "held for its drop")] pub(crate) Permit,
);

impl<T: AsRef<[u8]>> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// Bytes that give their room back with the last of those who share them.
pub(crate) fn charged(bytes: Vec<u8>, permit: Option<Permit>) -> Bytes {
    match permit {
        Some(permit) if !bytes.is_empty() => Bytes::from_owner(Charged(bytes, permit)),
        _ => Bytes::from(bytes),
    }
}

/// A length or place as the contract counts. Content has at most [`Content::MOST`] bytes.
fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn index(offset: u32) -> usize {
    offset as usize
}

#[cfg(test)]
mod tests;
