//! Lines that wait to be written: a bounded number of bytes.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::DROPPED;

/// The queue of lines. Adding one never waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer: there are lines.
    work: Condvar,
    /// Wakes flushes: lines have been written.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Batch,
    writer: Writer,
    /// Bytes of lines added and not dropped since the start; and how many of them have been written, or could
    /// not be.
    added: u64,
    settled: u64,
    /// How many flushes wait.
    flushing: u32,
}

/// Lines to write.
#[derive(Default)]
pub(super) struct Batch {
    /// The lines, each with its line feed.
    pub(super) lines: Vec<u8>,
    /// How many later lines were dropped.
    pub(super) dropped: u64,
}

/// The state of the writer.
#[derive(Default, PartialEq, Eq)]
enum Writer {
    /// Writing; it looks for more afterwards.
    #[default]
    Busy,
    /// Letting lines gather for a moment; it need not be woken for each.
    Pausing,
    /// Waiting for a line.
    Idle,
}

/// Bytes that may wait: some 7,000 lines about requests. As many again may be in the writer's hands.
pub(super) const CAPACITY: usize = 1 << 20;

/// How long lines gather when some came just before. The pause spares the workers waking another thread for
/// each line, and that thread a system call for each.
const PAUSE: Duration = Duration::from_millis(5);

/// The bytes of a buffer that are kept for later lines.
const KEPT: usize = 64 << 10;

/// When nothing has been taken for so long, the reader is taken for gone.
const STALLED: Duration = Duration::from_millis(500);

/// The longest that a flush waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(3);

impl Queue {
    /// Adds lines, or drops and counts them if there is no room.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.state.lock();
        let Batch {
            lines: waiting,
            dropped,
        } = &mut state.waiting;
        // Lines after a dropped one are dropped too, until a notice can stand in their place.
        if *dropped > 0 || waiting.len() + lines.len() > CAPACITY {
            *dropped += 1;
            DROPPED.inc();
            return;
        }
        waiting.extend_from_slice(lines);
        let is_urgent = waiting.len() > CAPACITY / 2;
        state.added += lines.len() as u64;
        let wakes = match state.writer {
            Writer::Idle => true,
            Writer::Pausing => is_urgent,
            Writer::Busy => false,
        };
        if wakes {
            // One wake-up is enough.
            state.writer = Writer::Busy;
            drop(state);
            self.work.notify_one();
        }
    }

    /// For the writer: waits for lines, and swaps them for an empty batch.
    pub(super) fn take(&self, empty: &mut Batch) {
        empty.lines.clear();
        empty.dropped = 0;
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            // A burst is over, and its memory is not needed again soon.
            state.waiting.lines.shrink_to(KEPT);
            empty.lines.shrink_to(KEPT);
            state.writer = Writer::Idle;
            self.work.wait(&mut state);
        }
        state.writer = Writer::Busy;
        std::mem::swap(&mut state.waiting, empty);
    }

    /// For the writer: counts bytes that have been written, or could not be.
    pub(super) fn settle(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.settled += bytes as u64;
        if state.flushing > 0 {
            self.done.notify_all();
        }
    }

    /// For the writer: lets lines gather, unless a flush waits.
    pub(super) fn pause(&self) {
        let mut state = self.state.lock();
        if state.flushing == 0 && state.waiting.dropped == 0 {
            state.writer = Writer::Pausing;
            self.work.wait_for(&mut state, PAUSE);
            state.writer = Writer::Busy;
        }
    }

    /// Waits until all lines added so far are written: for [`PATIENCE`] at most, and [`STALLED`] if none is
    /// taken.
    pub(super) fn flush(&self) {
        let mut state = self.state.lock();
        let all = state.added;
        let end = Instant::now() + PATIENCE;
        state.flushing += 1;
        self.work.notify_one();
        while state.settled < all {
            let before = state.settled;
            let until = end.min(Instant::now() + STALLED);
            let timed_out = self.done.wait_until(&mut state, until).timed_out();
            if timed_out && state.settled == before {
                break;
            }
        }
        state.flushing -= 1;
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn take(queue: &Queue) -> (String, u64) {
        let mut batch = Batch::default();
        queue.take(&mut batch);
        queue.settle(batch.lines.len());
        (
            String::from_utf8(batch.lines).expect("lines are text"),
            batch.dropped,
        )
    }

    #[test]
    fn queue_lines_are_taken_in_order_at_once() {
        let queue = Queue::default();
        queue.push(b"one\n");
        queue.push(b"two\n");
        assert_eq!(take(&queue), ("one\ntwo\n".to_owned(), 0));
    }

    #[test]
    fn queue_full_drops_lines_until_the_batch_is_taken() {
        let queue = Queue::default();
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        for _ in 0..CAPACITY / line.len() + 10 {
            queue.push(&line);
        }
        // This line would fit, but would not be in its place.
        queue.push(b"\n");
        let (lines, dropped) = take(&queue);
        assert_eq!((lines.lines().count(), dropped), (CAPACITY / line.len(), 11));
        queue.push(b"again\n");
        assert_eq!(take(&queue), ("again\n".to_owned(), 0));
    }

    #[test]
    fn queue_push_wakes_the_waiting_writer() {
        let queue = Arc::new(Queue::default());
        let waiting = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue)
        });
        queue.push(b"line\n");
        assert_eq!(waiting.join().expect("it takes a line").0, "line\n");
    }

    #[test]
    fn flush_ends_when_all_is_written_or_nothing_is_taken() {
        let queue = Arc::new(Queue::default());
        queue.flush();
        queue.push(b"line\n");
        // No writer takes the line.
        queue.flush();
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue)
        });
        queue.flush();
        assert_eq!(queue.state.lock().settled, 5);
        writer.join().expect("it takes a line");
    }

    #[test]
    fn queue_memory_of_a_burst_is_freed() {
        let queue = Arc::new(Queue::default());
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut batch = Batch::default();
                for _ in 0..2 {
                    queue.take(&mut batch);
                    queue.settle(batch.lines.len());
                }
                batch.lines.capacity()
            }
        });
        queue.push(&vec![b'x'; CAPACITY]);
        queue.flush();
        wait_until_idle(&queue);
        queue.push(b"line\n");
        assert!(writer.join().expect("it takes both") <= KEPT);
    }

    fn wait_until_idle(queue: &Queue) {
        let end = Instant::now() + Duration::from_secs(20);
        while queue.state.lock().writer != Writer::Idle {
            assert!(Instant::now() < end, "the writer has nothing to do");
            thread::yield_now();
        }
    }
}
