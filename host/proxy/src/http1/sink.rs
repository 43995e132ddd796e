//! What is to be written, and how far that has come.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use crate::io::Transport;

/// Bytes for one side of a connection: a head or a chunk's line, data that lies in the buffer into which the other side was
/// read, and what follows it. They are written together, without being copied together.
#[derive(Debug, Default)]
pub struct Sink {
    before: Vec<u8>,
    data: Range<usize>,
    behind: &'static [u8],
    /// How many bytes of `before` have been written.
    at: usize,
    /// Bytes written since it was made.
    written: u64,
}

impl Sink {
    /// Nothing to write.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// The bytes to be written before the data, to append to. Only while no data waits.
    pub fn before(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        &mut self.before
    }

    /// Adds data, by its place in a buffer, and what follows it. Only while no data waits.
    pub fn add(&mut self, data: Range<usize>, behind: &'static [u8]) {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        self.data = data;
        self.behind = behind;
    }

    /// Whether data waits to be written, or what follows it.
    pub fn has_data(&self) -> bool {
        !self.data.is_empty() || !self.behind.is_empty()
    }

    /// Whether anything waits to be written.
    pub fn is_empty(&self) -> bool {
        self.before.len() == self.at && !self.has_data()
    }

    /// Whether a head or a chunk's line has been written in part: nothing else may follow but its rest.
    pub fn is_begun(&self) -> bool {
        self.at > 0 && !self.is_empty()
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes all. `slice` has the bytes for a place in the buffer.
    pub fn poll_send<'a>(
        &mut self,
        slice: impl Fn(Range<usize>) -> &'a [u8],
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
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
        }
        self.before.clear();
        self.at = 0;
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
