//! The decoded form of a body that passes.

use bytes::{Buf, Bytes, BytesMut};
use pace_content::budget::Permit;
use pace_content::decode::{Codings, Decoder};
use pace_hook::Failure;

/// The most bytes that are decoded at once.
const PIECE: usize = 64 << 10;

/// Decodes a body piece by piece.
pub(super) struct Decoded {
    decoder: Decoder,
    /// What has come and is not decoded yet.
    encoded: BytesMut,
    /// Whether more may come of what the decoder has taken.
    may_have_more: bool,
    /// Covers the decoder's memory.
    permit: Permit,
}

impl Decoded {
    /// A decoder at the start of a body; the failure of its filters if there is no memory for it.
    pub(super) fn new(codings: &Codings, mut permit: Permit) -> Result<Decoded, Failure> {
        let decoder = Decoder::new(codings);
        match permit.cover(decoder.memory()) {
            true => Ok(Decoded {
                decoder,
                encoded: BytesMut::new(),
                may_have_more: false,
                permit,
            }),
            false => Err(Failure::no_memory_for_body()),
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
    pub(super) fn next(&mut self, is_finished: bool) -> Result<Option<Bytes>, Failure> {
        if std::mem::take(&mut self.may_have_more) {
            let mut out = Vec::new();
            let mut input = &self.encoded[..];
            let decoded = self.decoder.decode(&mut input, &mut out, PIECE);
            decoded.map_err(|error| Failure::undecodable(&error))?;
            if !self.permit.cover(self.decoder.memory()) {
                return Err(Failure::no_memory_for_body());
            }
            let taken = self.encoded.len() - input.len();
            self.encoded.advance(taken);
            self.may_have_more = out.len() == PIECE;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        if is_finished {
            let ended = self.decoder.finish();
            ended.map_err(|error| Failure::undecodable(&error))?;
        }
        Ok(None)
    }
}
