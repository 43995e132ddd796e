//! The thread that writes lines to standard error, and may block on it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use log::Level;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::line;
use super::queue::{Batch, Queue};
use super::{DROPPED, colors};

/// Starts the thread, and returns the queue it reads.
pub(super) fn start() -> io::Result<Arc<Queue>> {
    let queue = Arc::new(Queue::default());
    let writer = Writer::new(write_to_stderr, colors());
    let of_thread = Arc::clone(&queue);
    thread::Builder::new()
        .name("pace-log".to_owned())
        .spawn(move || writer.run(&of_thread))?;
    Ok(queue)
}

/// Writes lines to `write`, which takes some of the bytes or fails.
struct Writer<W> {
    write: W,
    colors: bool,
    /// Lines that were lost and not yet reported.
    lost: u64,
    /// Whether only the beginning of the last line was written.
    is_torn: bool,
}

/// The bytes that a pipe takes in one piece (`PIPE_BUF`, pipe(7)), so that lines of other processes do not
/// mix with ours.
const PIECE: usize = 4096;

impl<W: FnMut(&[u8]) -> Result<usize, Errno>> Writer<W> {
    fn new(write: W, colors: bool) -> Writer<W> {
        Writer {
            write,
            colors,
            lost: 0,
            is_torn: false,
        }
    }

    /// Runs for the life of the process.
    fn run(mut self, queue: &Queue) {
        let mut batch = Batch::default();
        loop {
            queue.take(&mut batch);
            self.write_batch(&batch, |bytes| queue.settle(bytes));
            queue.pause();
        }
    }

    fn write_batch(&mut self, batch: &Batch, settled: impl Fn(usize)) {
        let mut rest = batch.lines.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(piece(rest));
            self.write_lines(piece);
            settled(piece.len());
            rest = after;
        }
        self.lost += batch.dropped;
        let _stays_lost = self.tell_lost();
    }

    /// Writes lines; those that fail are lost.
    fn write_lines(&mut self, lines: &[u8]) {
        let written = match self.tell_lost() {
            true => self.write_all(lines),
            false => 0,
        };
        // A line of which only the beginning was written is lost too.
        let torn = u64::from(written > 0 && self.is_torn);
        let lost = entries(lines) - entries(&lines[..written]) + torn;
        self.lost += lost;
        DROPPED.inc_by(lost);
    }

    /// Writes how many lines are missing here. False if even that fails.
    fn tell_lost(&mut self) -> bool {
        if self.lost == 0 && !self.is_torn {
            return true;
        }
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        if self.lost > 0 {
            text.push_str(&notice(self.lost, self.colors));
        }
        let written = self.write_all(text.as_bytes());
        if written == text.len() {
            self.lost = 0;
        }
        written == text.len()
    }

    /// Writes until the end or a failure, and returns how many bytes were written.
    fn write_all(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match (self.write)(&bytes[written..]) {
                Ok(0) | Err(_) => break,
                Ok(more) => written += more,
            }
        }
        if let Some(last) = bytes[..written].last() {
            self.is_torn = *last != b'\n';
        }
        written
    }
}

/// The number of bytes to write in one piece: whole lines, if one fits.
fn piece(lines: &[u8]) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let within = &lines[..lines.len().min(PIECE)];
    let last = within.iter().rposition(is_end);
    let end = last.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

/// The number of entries that begin in these lines: continuation lines are indented.
fn entries(lines: &[u8]) -> u64 {
    let begins = |line: &&[u8]| !line.is_empty() && !line.starts_with(line::INDENT.as_bytes());
    lines.split(|byte| *byte == b'\n').filter(begins).count() as u64
}

/// The line that stands in place of missing lines.
fn notice(lost: u64, colors: bool) -> String {
    let lines = if lost == 1 { "line was" } else { "lines were" };
    line::entry(
        colors,
        Level::Warn,
        "pace::log",
        format_args!("{lost} log {lines} dropped: standard error did not take them in time"),
    )
}

/// Writes some of the bytes, and blocks until that is possible.
///
/// The call bypasses `std`, which would hold its lock of standard error meanwhile: a panic, for one, would
/// wait for that lock.
fn write_to_stderr(bytes: &[u8]) -> Result<usize, Errno> {
    let stderr = io::stderr();
    let stderr = stderr.as_fd();
    loop {
        match rustix::io::write(stderr, bytes) {
            Err(Errno::INTR) => {}
            // Another process that shares the pipe or the terminal has made it non-blocking.
            Err(Errno::AGAIN) => {
                let writable = PollFd::from_borrowed_fd(stderr, PollFlags::OUT);
                match poll(&mut [writable], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Takes a number of bytes, and then fails.
    struct Disk {
        room: Cell<usize>,
        written: RefCell<Vec<u8>>,
    }

    impl Disk {
        fn new(room: usize) -> Disk {
            Disk {
                room: Cell::new(room),
                written: RefCell::default(),
            }
        }

        fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
            match self.room.get().min(bytes.len()) {
                0 => Err(Errno::NOSPC),
                length => {
                    self.room.set(self.room.get() - length);
                    self.written.borrow_mut().extend(&bytes[..length]);
                    Ok(length)
                }
            }
        }

        /// The lines, with a notice of lost lines as `LOST n`.
        fn lines(&self) -> Vec<String> {
            let written = String::from_utf8(self.written.borrow().clone()).expect("it is text");
            let shown = |line: &str| match line.split_once("pace::log] ") {
                Some((_, said)) => format!("LOST {}", said.split(' ').next().unwrap_or_default()),
                None => line.to_owned(),
            };
            written.lines().map(shown).collect()
        }
    }

    fn write(writer: &mut Writer<impl FnMut(&[u8]) -> Result<usize, Errno>>, lines: &str, dropped: u64) {
        let settled = Cell::new(0);
        let batch = Batch {
            lines: lines.as_bytes().to_vec(),
            dropped,
        };
        writer.write_batch(&batch, |bytes| settled.set(settled.get() + bytes));
        assert_eq!(settled.get(), lines.len());
    }

    #[test]
    fn writer_reports_dropped_lines_in_their_place() {
        let disk = Disk::new(usize::MAX);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "a\nb\n", 3);
        write(&mut writer, "c\n", 0);
        assert_eq!(disk.lines(), ["a", "b", "LOST 3", "c"]);
    }

    #[test]
    fn writer_reports_unwritten_lines_once_there_is_room() {
        let disk = Disk::new(5);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "one\ntwo\nthree\n    more\n", 0);
        write(&mut writer, "four\n", 1);
        disk.room.set(usize::MAX);
        write(&mut writer, "five\n", 0);
        assert_eq!(disk.lines(), ["one", "t", "LOST 4", "five"]);
    }

    #[test]
    fn writer_reports_nothing_if_no_line_is_missing() {
        let disk = Disk::new(4);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "one\n", 0);
        disk.room.set(usize::MAX);
        write(&mut writer, "two\n", 0);
        assert_eq!(disk.lines(), ["one", "two"]);
    }

    #[test]
    fn piece_ends_at_a_line_feed() {
        assert_eq!(piece(b"a\nb\n"), 4);
        let long = [vec![b'x'; PIECE - 2], b"\nyy\n".to_vec()].concat();
        assert_eq!(piece(&long), PIECE - 1);
        let longer = [vec![b'x'; PIECE + 9], b"\nyy\n".to_vec()].concat();
        assert_eq!(piece(&longer), PIECE + 10);
    }
}
