//! Changes of content.

use std::ops::Range;

use super::{Content, Kept, Shown, index};

/// The changes that the hook at hand may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All of them.
    Edit,
    /// None: the stream was opened to be looked at.
    Look,
    /// None, because HTTP knows no body here, or because nothing can be sent any more.
    Nothing,
}

/// The reason why an edit was refused. The content is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The content would pass its limit, or the budget has no room for it.
    TooLarge,
    /// The place is not inside the content.
    InvalidValue,
    /// The access is [`Access::Look`].
    ReadOnly,
    /// The access is [`Access::Nothing`].
    NotAvailable,
}

impl Access {
    /// Checks that an edit may be made.
    pub(crate) fn check_edit(self) -> Result<(), EditError> {
        match self {
            Access::Edit => Ok(()),
            Access::Look => Err(EditError::ReadOnly),
            Access::Nothing => Err(EditError::NotAvailable),
        }
    }
}

impl Content {
    /// Replaces everything by these bytes.
    pub fn replace(&mut self, bytes: Vec<u8>) -> Result<(), EditError> {
        self.may_have(bytes.len())?;
        self.set_own(bytes);
        Ok(())
    }

    /// Replaces `length` bytes from `offset` on by these, which may be more or fewer.
    pub fn splice(&mut self, offset: u32, length: u32, bytes: &[u8]) -> Result<(), EditError> {
        let place = index(offset)..index(offset).saturating_add(index(length));
        let before = self.bytes().len();
        self.access.check_edit()?;
        if place.end > before {
            return Err(EditError::InvalidValue);
        }
        let after = before - place.len() + bytes.len();
        self.may_have(after)?;
        let mut own = self.take_own(after);
        splice(&mut own, place, bytes);
        self.set_own(own);
        Ok(())
    }

    /// Checks that the content may be changed to this length, and takes room for the memory of it.
    fn may_have(&mut self, length: usize) -> Result<(), EditError> {
        self.access.check_edit()?;
        if length > index(self.limit) {
            return Err(EditError::TooLarge);
        }
        if self.is_undoable && self.before.is_none() {
            self.before = Some(Box::new(Kept {
                shown: self.share(),
                changed: self.changed,
            }));
        }
        match self.permit.as_mut().is_none_or(|permit| permit.cover(length)) {
            true => Ok(()),
            false => Err(EditError::TooLarge),
        }
    }

    /// Takes the shown form out, in memory of its own with room for `size` bytes.
    fn take_own(&mut self, size: usize) -> Vec<u8> {
        if let Shown::Own(own) = &mut self.shown {
            return std::mem::take(own);
        }
        let bytes = self.bytes();
        let mut own = Vec::with_capacity(size.max(bytes.len()));
        own.extend_from_slice(bytes);
        own
    }

    fn set_own(&mut self, own: Vec<u8>) {
        if let Some(permit) = &mut self.permit {
            // A vector grows by more than it has to.
            permit.cover_beyond(own.capacity());
        }
        self.shown = Shown::Own(own);
        self.changed = true;
        self.document = None;
    }
}

/// Replaces the place, which is inside.
fn splice(into: &mut Vec<u8>, place: Range<usize>, bytes: &[u8]) {
    let (before, new_end) = (into.len(), place.start + bytes.len());
    let after = before - place.len() + bytes.len();
    into.resize(before.max(after), 0);
    into.copy_within(place.end..before, new_end);
    into[place.start..new_end].copy_from_slice(bytes);
    into.truncate(after);
}
