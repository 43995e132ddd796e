//! The decoded form of a body that passes.

use bytes::{Buf, Bytes, BytesMut};
use pace_content::decode::{Codings, DecodeError, Decoder};

/// The most bytes that are decoded at once.
const PIECE: usize = 64 << 10;

/// Decodes a body piece by piece.
pub(super) struct Decoded {
    decoder: Decoder,
    /// What has come and is not decoded yet.
    encoded: BytesMut,
    /// Whether more may come of what the decoder has taken.
    may_have_more: bool,
}

impl Decoded {
    pub(super) fn new(codings: &Codings) -> Decoded {
        Decoded {
            decoder: Decoder::new(codings),
            encoded: BytesMut::new(),
            may_have_more: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.encoded.extend_from_slice(bytes);
        self.may_have_more = true;
    }

    /// Whether what has been decoded so far could be all.
    pub(super) fn may_be_complete(&self) -> bool {
        !self.may_have_more && self.decoder.finish().is_ok()
    }

    /// The next bytes; `None` if more have to come first, or there are no more.
    pub(super) fn next(&mut self, is_finished: bool) -> Result<Option<Bytes>, DecodeError> {
        if std::mem::take(&mut self.may_have_more) {
            let mut out = Vec::new();
            let mut input = &self.encoded[..];
            self.decoder.decode(&mut input, &mut out, PIECE)?;
            let taken = self.encoded.len() - input.len();
            self.encoded.advance(taken);
            self.may_have_more = out.len() == PIECE;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        if is_finished {
            self.decoder.finish()?;
        }
        Ok(None)
    }
}
