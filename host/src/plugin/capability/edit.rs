//! How much one call of a hook may add to a message.
//!
//! What counts is what the plugin adds, not how large the message has become: a client must not be able to
//! make a plugin's edits fail by sending a large request.

use crate::config::Limits;
use crate::hook::{EditError, Headers};

/// What the call that is running has added so far.
#[derive(Default)]
pub(in super::super) struct Added {
    headers: usize,
    bytes: usize,
}

impl Added {
    /// `set-header`.
    pub(super) fn set<H: Headers + ?Sized>(
        &mut self,
        head: &mut H,
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(), EditError> {
        self.add(limits, name, value)?;
        head.set_header(name, value)
    }

    /// `append-header`.
    pub(super) fn append<H: Headers + ?Sized>(
        &mut self,
        head: &mut H,
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(), EditError> {
        self.add(limits, name, value)?;
        head.append_header(name, value)
    }

    fn add(&mut self, limits: &Limits, name: &str, value: &[u8]) -> Result<(), EditError> {
        let headers = self.headers + 1;
        let bytes = self.bytes + name.len() + value.len();
        if headers > limits.headers || bytes > limits.header_bytes {
            return Err(EditError::TooLarge);
        }
        (self.headers, self.bytes) = (headers, bytes);
        Ok(())
    }
}
