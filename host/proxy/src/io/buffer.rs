//! Buffers for bytes that have been read.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use super::Transport;

/// Bytes that have been read and not been used.
///
/// An empty buffer holds no memory once it is [released](Buffer::release): a connection that waits for a request costs none.
/// The memory comes from the thread and returns to it, so that it is not cleared for each request.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
    /// Whether the last read has filled the memory, so that there may be more to read.
    was_filled: bool,
}

/// The memory of a buffer, with the bytes that were in it. It returns to the thread that drops it.
#[derive(Debug)]
pub struct Block {
    memory: Box<[u8]>,
    bytes: Range<usize>,
}

/// The size of memory for heads and small bodies.
const SMALL: usize = 16 << 10;

/// The size of memory for long bodies, which take fewer reads and writes with it.
const LARGE: usize = 128 << 10;

/// The most pieces of memory of each size that a thread keeps.
const KEPT: [usize; 2] = [64, 16];

thread_local! {
    static FREE: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

impl Buffer {
    /// A buffer without memory.
    pub fn new() -> Buffer {
        Buffer::default()
    }

    /// The bytes that were read and not used yet.
    pub fn filled(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The same bytes, to be decoded in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    /// The number of bytes in [`Buffer::filled`].
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether [`Buffer::filled`] is empty.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The size of the memory, in bytes.
    pub fn size(&self) -> usize {
        self.memory.len()
    }

    /// The place of the first byte of [`Buffer::filled`], as [`Buffer::slice`] counts places.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The bytes at a place. They stay there until the next read.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.memory[range]
    }

    /// Drops bytes from the start, as they have been used.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
    }

    /// Reads the bytes that have come. The buffer must be empty or have fewer than `limit` bytes.
    ///
    /// Returns the number of bytes; 0 if the other side has ended.
    pub fn poll_fill(
        &mut self,
        limit: usize,
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(limit);
        match transport.poll_read(&mut self.memory[self.end..], context) {
            Poll::Ready(Ok(count)) => {
                self.end += count;
                self.was_filled = self.end == self.memory.len();
                Poll::Ready(Ok(count))
            }
            other => other,
        }
    }

    /// Reads until there are `length` bytes, at most [`Buffer::MOST`], or no more have come. Returns whether there are as many; there
    /// may be more.
    pub fn fill_to(
        &mut self,
        length: usize,
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> io::Result<bool> {
        while self.len() < length {
            if self.was_filled && self.end == self.memory.len() && self.memory.len() < LARGE {
                self.replace(LARGE);
            }
            match self.poll_fill(Buffer::MOST, transport, context)? {
                Poll::Ready(0) | Poll::Pending => return Ok(false),
                Poll::Ready(_) => {}
            }
        }
        Ok(true)
    }

    /// The most bytes for which [`Buffer::fill_to`] can be asked.
    pub const MOST: usize = LARGE;

    /// Takes all bytes out, with the memory in which they are.
    pub fn take_block(&mut self) -> Block {
        let bytes = self.start..self.end;
        (self.start, self.end, self.was_filled) = (0, 0, false);
        Block {
            memory: std::mem::take(&mut self.memory),
            bytes,
        }
    }

    /// Lends the memory out, to be [given back](Buffer::give_back) before anything else is done with the buffer.
    pub fn lend(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.memory)
    }

    /// Takes the memory back that was lent.
    pub fn give_back(&mut self, memory: Box<[u8]>) {
        debug_assert!(
            self.memory.is_empty() && self.end <= memory.len(),
            "other memory was lent"
        );
        self.memory = memory;
    }

    /// Makes the next read larger, if the last one has filled the memory. Memory never grows because of a length that the
    /// other side declares, since it may send nothing.
    pub fn enlarge_if_filled(&mut self) {
        if self.was_filled && self.memory.len() < LARGE && self.is_empty() {
            self.replace(LARGE);
        }
    }

    /// Gives the memory back, if the buffer is empty.
    pub fn release(&mut self) {
        if self.is_empty() {
            give(std::mem::take(&mut self.memory));
            (self.start, self.end) = (0, 0);
        }
    }

    fn make_room(&mut self, limit: usize) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        if self.memory.is_empty() {
            self.memory = take(SMALL);
        }
        if self.end < self.memory.len() {
            return;
        }
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            // Four times as much each time, so that what is copied stays in proportion.
            self.replace((self.memory.len() * 4).min(limit.max(self.memory.len() + 1)));
        }
    }

    /// Moves the bytes to memory of another size.
    fn replace(&mut self, size: usize) {
        let mut memory = take(size);
        memory[..self.len()].copy_from_slice(self.filled());
        (self.start, self.end) = (0, self.len());
        give(std::mem::replace(&mut self.memory, memory));
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.bytes.clone()]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.memory));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.memory));
    }
}

fn class(size: usize) -> Option<usize> {
    [SMALL, LARGE].iter().position(|class| *class == size)
}

fn take(size: usize) -> Box<[u8]> {
    let free = class(size).and_then(|class| FREE.with_borrow_mut(|free| free[class].pop()));
    free.unwrap_or_else(|| vec![0; size].into())
}

/// Keeps memory for the next buffer of this thread, or frees it.
fn give(memory: Box<[u8]>) {
    if let Some(class) = class(memory.len()) {
        // When a thread ends, its list may be dropped before its buffers.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free[class].len() < KEPT[class] {
                free[class].push(memory);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connection() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ours = Transport::new(ours.expect("the listener accepts"));
        (ours, theirs.expect("the client connects").0)
    }

    #[tokio::test]
    async fn buffer_that_grows_and_moves_keeps_bytes_in_order() {
        let (mut ours, mut theirs) = connection().await;
        let sent: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
        let copy = sent.clone();
        let writing = tokio::spawn(async move { theirs.write_all(&copy).await });
        let mut buffer = Buffer::new();
        let mut received = Vec::new();
        loop {
            let read = poll_fn(|context| buffer.poll_fill(64 << 10, &mut ours, context)).await;
            if read.expect("it is open") == 0 {
                break;
            }
            // Some bytes stay, so that the rest comes behind them.
            let used = buffer
                .len()
                .saturating_sub(if received.len() < 50_000 { 1000 } else { 0 });
            received.extend_from_slice(&buffer.filled()[..used]);
            buffer.consume(used);
        }
        received.extend_from_slice(buffer.filled());
        writing.await.expect("no panic").expect("it is open");
        assert!(received == sent);
    }

    #[tokio::test]
    async fn filled_buffer_is_taken_with_its_memory() {
        let (mut ours, mut theirs) = connection().await;
        let sent: Vec<u8> = (0..50_000_u32).map(|number| (number % 251) as u8).collect();
        theirs.write_all(&sent).await.expect("it is open");
        let mut buffer = Buffer::new();
        poll_fn(|context| match buffer.fill_to(sent.len(), &mut ours, context) {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::Pending,
            Err(error) => panic!("{error}"),
        })
        .await;
        buffer.consume(10);
        let memory = buffer.memory.as_ptr();
        let block = buffer.take_block();
        assert!(block.as_ref() == &sent[10..]);
        assert_eq!((block.memory.len(), buffer.len(), buffer.size()), (LARGE, 0, 0));
        drop(block);
        let next = take(LARGE);
        assert_eq!(next.as_ptr(), memory);
    }

    #[test]
    fn released_memory_is_used_by_the_next_buffer() {
        let mut buffer = Buffer::new();
        buffer.make_room(1);
        let first = buffer.memory.as_ptr();
        buffer.release();
        assert!(buffer.memory.is_empty());
        buffer.make_room(1);
        assert_eq!(buffer.memory.as_ptr(), first);
        buffer.was_filled = true;
        buffer.enlarge_if_filled();
        assert_eq!(buffer.memory.len(), LARGE);
        let mut other = Buffer::new();
        other.make_room(1);
        assert_eq!(other.memory.as_ptr(), first);
    }

    #[test]
    fn release_of_buffer_with_bytes_keeps_them() {
        let mut buffer = Buffer::new();
        buffer.make_room(1);
        buffer.end = 1;
        buffer.release();
        assert_eq!((buffer.len(), buffer.memory.len()), (1, SMALL));
    }
}
