//! Reads what a program says on standard error, as long as a test wants it read.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

/// What a program has said so far. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    text: String,
    reading: Reading,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Goes,
    Pauses,
    Ends,
}

impl Log {
    /// Reads to the end, on a thread of its own.
    pub(crate) fn read(&self, stderr: ChildStderr) -> JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            let (state, changed) = &*log.0;
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut state = state.lock();
                state.text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
                changed.wait_while(&mut state, |state| state.reading == Reading::Pauses);
                if state.reading == Reading::Ends {
                    return;
                }
            }
        })
    }

    pub(crate) fn text(&self) -> String {
        self.0.0.lock().text.clone()
    }

    /// After the next line nothing is read.
    pub(crate) fn pause(&self) {
        self.set(Reading::Pauses);
    }

    pub(crate) fn resume(&self) {
        self.set(Reading::Goes);
    }

    /// After the next line the pipe is closed.
    pub(crate) fn close(&self) {
        self.set(Reading::Ends);
    }

    fn set(&self, reading: Reading) {
        self.0.0.lock().reading = reading;
        self.0.1.notify_all();
    }
}
