//! Hands values from threads that serve to one thread that may block.
//!
//! Adding a value never waits. A queue holds a bounded number of bytes, as its user weighs values; what does not fit is dropped,
//! which the caller counts.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A queue from many threads to one.
pub struct Handoff<T> {
    state: Mutex<State<T>>,
    /// The most that may wait, by weight.
    capacity: usize,
    /// Wakes the taker: there are values.
    work: Condvar,
    /// Wakes flushes: values have been settled.
    done: Condvar,
}

struct State<T> {
    waiting: Vec<T>,
    weight: usize,
    taker: Taker,
    /// The number of values added since the start, and how many of them the taker is done with.
    added: u64,
    settled: u64,
    flushing: u32,
}

/// The state of the thread that takes values.
#[derive(PartialEq, Eq)]
enum Taker {
    /// Working; it looks for more afterwards.
    Busy,
    /// Letting values gather for a moment; it need not be woken for each.
    Pausing,
    /// Waiting for a value.
    Idle,
}

/// The room for values that is kept for later ones.
const KEPT: usize = 256;

impl<T> Handoff<T> {
    /// An empty queue for values of this weight together.
    pub fn new(capacity: usize) -> Handoff<T> {
        Handoff {
            state: Mutex::new(State {
                waiting: Vec::new(),
                weight: 0,
                taker: Taker::Busy,
                added: 0,
                settled: 0,
                flushing: 0,
            }),
            capacity,
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Adds a value of this weight. Returns false if there was no room, and it was dropped.
    #[must_use]
    pub fn add(&self, value: T, weight: usize) -> bool {
        let mut state = self.state.lock();
        if state.weight + weight > self.capacity {
            return false;
        }
        state.weight += weight;
        state.waiting.push(value);
        state.added += 1;
        let wakes = match state.taker {
            Taker::Idle => true,
            Taker::Pausing => state.weight > self.capacity / 2,
            Taker::Busy => false,
        };
        if wakes {
            // One wake-up is enough.
            state.taker = Taker::Busy;
            drop(state);
            self.work.notify_one();
        }
        true
    }

    /// For the taker: waits for values, at most until `deadline`, and puts them into `empty`.
    pub fn take(&self, empty: &mut Vec<T>, deadline: Option<Instant>) {
        debug_assert!(empty.is_empty());
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            state.waiting.shrink_to(KEPT);
            empty.shrink_to(KEPT);
            state.taker = Taker::Idle;
            match deadline {
                None => self.work.wait(&mut state),
                Some(deadline) => {
                    if self.work.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        state.taker = Taker::Busy;
        state.weight = 0;
        std::mem::swap(&mut state.waiting, empty);
    }

    /// For the taker: is done with so many values.
    pub fn settle(&self, values: usize) {
        let mut state = self.state.lock();
        state.settled += values as u64;
        if state.flushing > 0 {
            self.done.notify_all();
        }
    }

    /// For the taker: lets values gather for a while, unless a flush waits or the queue is half full. The pause spares those who
    /// add values a system call for each.
    pub fn pause(&self, time: Duration) {
        let mut state = self.state.lock();
        if state.flushing == 0 {
            state.taker = Taker::Pausing;
            self.work.wait_for(&mut state, time);
            state.taker = Taker::Busy;
        }
    }

    /// Waits until the taker is done with all values added so far: for `patience` at most, and for `stalled` if it is done with
    /// none.
    pub fn flush(&self, patience: Duration, stalled: Duration) {
        let mut state = self.state.lock();
        let all = state.added;
        let end = Instant::now() + patience;
        state.flushing += 1;
        self.work.notify_one();
        while state.settled < all {
            let before = state.settled;
            let until = end.min(Instant::now() + stalled);
            let timed_out = self.done.wait_until(&mut state, until).timed_out();
            if timed_out && state.settled == before {
                break;
            }
        }
        state.flushing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn take(queue: &Handoff<u32>) -> Vec<u32> {
        let mut taken = Vec::new();
        queue.take(&mut taken, None);
        queue.settle(taken.len());
        taken
    }

    #[test]
    fn values_are_taken_in_order_until_there_is_no_room() {
        let queue = Handoff::new(10);
        let added: Vec<bool> = (0..4).map(|value| queue.add(value, 4)).collect();
        assert_eq!(added, [true, true, false, false]);
        assert_eq!(take(&queue), [0, 1]);
        assert!(queue.add(4, 10));
        assert_eq!(take(&queue), [4]);
    }

    #[test]
    fn waiting_taker_is_woken_by_a_value_and_by_its_deadline() {
        let queue = Arc::new(Handoff::new(1));
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue)
        });
        assert!(queue.add(7, 1));
        assert_eq!(taker.join().expect("it takes a value"), [7]);
        let mut none = Vec::new();
        queue.take(&mut none, Some(Instant::now()));
        assert!(none.is_empty());
    }

    #[test]
    fn flush_ends_when_all_is_settled_or_nothing_is() {
        let (patience, stalled) = (Duration::from_secs(20), Duration::from_millis(10));
        let queue = Arc::new(Handoff::new(10));
        queue.flush(patience, stalled);
        assert!(queue.add(1, 1));
        // Nobody takes the value.
        queue.flush(patience, stalled);
        let taker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue)
        });
        queue.flush(patience, patience);
        assert_eq!(queue.state.lock().settled, 1);
        taker.join().expect("it takes the value");
    }
}
