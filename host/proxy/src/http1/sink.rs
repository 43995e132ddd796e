//! Bytes to be written, and how far that has come.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use crate::io::Transport;

/// Bytes to be written to a connection: a head or a chunk's line, data that lies in the buffer of the other connection, and
/// an end of the data. They are written together, without being copied together.
#[derive(Debug, Default)]
pub struct Sink {
    before: Vec<u8>,
    data: Range<usize>,
    behind: &'static [u8],
    /// The number of bytes of `before` that have been written.
    at: usize,
    /// The number of bytes written since the sink was made.
    written: u64,
    /// Something that was written may still wait to be encrypted or sent.
    is_unflushed: bool,
}

impl Sink {
    /// An empty sink.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// The bytes to be written before the data, to append to. Must not be called while data waits.
    pub fn before(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        &mut self.before
    }

    /// Adds data, by its place in a buffer, and the bytes behind it. Must not be called while data waits.
    pub fn add(&mut self, data: Range<usize>, behind: &'static [u8]) {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        self.data = data;
        self.behind = behind;
    }

    /// Whether data, or the bytes behind it, wait to be written.
    pub fn has_data(&self) -> bool {
        !self.data.is_empty() || !self.behind.is_empty()
    }

    /// Whether nothing waits to be written, and what was has left this process.
    pub fn is_empty(&self) -> bool {
        self.is_written() && !self.is_unflushed
    }

    fn is_written(&self) -> bool {
        self.before.len() == self.at && !self.has_data()
    }

    /// Whether a head or a chunk's line has been written in part, so that only its rest may follow.
    pub fn is_begun(&self) -> bool {
        self.at > 0 && !self.is_written()
    }

    /// The number of bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes everything that waits. `slice` returns the bytes at a place in the buffer.
    pub fn poll_send<'a>(
        &mut self,
        slice: impl Fn(Range<usize>) -> &'a [u8],
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let data: &[u8] = if self.data.is_empty() {
                &[]
            } else {
                slice(self.data.clone())
            };
            let parts = [&self.before[self.at..], data, self.behind];
            let mut slices = [IoSlice::new(&[]); 3];
            let mut count = 0;
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                slices[count] = IoSlice::new(part);
                count += 1;
            }
            let written = ready!(transport.poll_write(&slices[..count], context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            self.is_unflushed = true;
        }
        self.before.clear();
        self.at = 0;
        if self.is_unflushed {
            ready!(transport.poll_flush(context))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        let of_before = written.min(self.before.len() - self.at);
        self.at += of_before;
        let of_data = (written - of_before).min(self.data.len());
        self.data.start += of_data;
        self.behind = &self.behind[written - of_before - of_data..];
    }
}
