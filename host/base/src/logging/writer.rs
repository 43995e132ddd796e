//! The thread that writes lines, and may have to wait.

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

/// Starts it.
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
    /// Lines that nobody has been told of.
    lost: u64,
    /// Only the beginning of the last line was written.
    is_torn: bool,
}

/// What a pipe takes in one piece (`PIPE_BUF`, pipe(7)), so that lines of other processes do not get into ours.
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

    /// As long as the process lives.
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

    /// Writes lines; those that cannot be written are lost.
    fn write_lines(&mut self, lines: &[u8]) {
        let written = match self.tell_lost() {
            true => self.write_all(lines),
            false => 0,
        };
        // One of which there is only the beginning is lost too.
        let torn = u64::from(written > 0 && self.is_torn);
        let lost = entries(lines) - entries(&lines[..written]) + torn;
        self.lost += lost;
        DROPPED.inc_by(lost);
    }

    /// Says how many lines are missing here. False if that cannot be written either.
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

    /// How many bytes were written before it failed.
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

/// How many bytes to write in one piece: whole lines if more than one fits.
fn piece(lines: &[u8]) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let within = &lines[..lines.len().min(PIECE)];
    let last = within.iter().rposition(is_end);
    let end = last.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

/// How many entries begin in these lines: those that go on are indented.
fn entries(lines: &[u8]) -> u64 {
    let begins = |line: &&[u8]| !line.is_empty() && !line.starts_with(line::INDENT.as_bytes());
    lines.split(|byte| *byte == b'\n').filter(begins).count() as u64
}

/// The line that stands where lines are missing.
fn notice(lost: u64, colors: bool) -> String {
    let lines = if lost == 1 { "line was" } else { "lines were" };
    line::entry(
        colors,
        Level::Warn,
        "pace::log",
        format_args!("{lost} log {lines} dropped: standard error did not take them in time"),
    )
}

/// Writes some of the bytes, and waits until that can be done.
///
/// Not through `std`, which would hold its lock of standard error meanwhile: a panic, for one, would wait for that.
fn write_to_stderr(bytes: &[u8]) -> Result<usize, Errno> {
    let stderr = io::stderr();
    let stderr = stderr.as_fd();
    loop {
        match rustix::io::write(stderr, bytes) {
            Err(Errno::INTR) => {}
            // Somebody who shares the pipe or the terminal wants it so.
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

    /// Takes so many bytes, and then fails.
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

        /// The lines, with `LOST n` for a line that says so.
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
    fn lines_that_the_queue_dropped_are_told_in_their_place() {
        let disk = Disk::new(usize::MAX);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "a\nb\n", 3);
        write(&mut writer, "c\n", 0);
        assert_eq!(disk.lines(), ["a", "b", "LOST 3", "c"]);
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_when_there_is_room() {
        let disk = Disk::new(5);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "one\ntwo\nthree\n    more\n", 0);
        write(&mut writer, "four\n", 1);
        disk.room.set(usize::MAX);
        write(&mut writer, "five\n", 0);
        assert_eq!(disk.lines(), ["one", "t", "LOST 4", "five"]);
    }

    #[test]
    fn nothing_is_told_if_nothing_is_missing() {
        let disk = Disk::new(4);
        let mut writer = Writer::new(|bytes: &[u8]| disk.write(bytes), false);
        write(&mut writer, "one\n", 0);
        disk.room.set(usize::MAX);
        write(&mut writer, "two\n", 0);
        assert_eq!(disk.lines(), ["one", "two"]);
    }

    #[test]
    fn pieces_end_with_a_line() {
        assert_eq!(piece(b"a\nb\n"), 4);
        let long = [vec![b'x'; PIECE - 2], b"\nyy\n".to_vec()].concat();
        assert_eq!(piece(&long), PIECE - 1);
        let longer = [vec![b'x'; PIECE + 9], b"\nyy\n".to_vec()].concat();
        assert_eq!(piece(&longer), PIECE + 10);
    }
}
