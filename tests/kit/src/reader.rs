//! Reads a program's standard error for as long as a test wants it read.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// A program's standard error so far. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    text: String,
    reading: Reading,
    is_over: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Goes,
    Pauses,
    Ends,
}

impl Pipe {
    /// Reads to the end, on a thread of its own.
    pub(crate) fn read(&self, stderr: ChildStderr) {
        let pipe = self.clone();
        thread::spawn(move || {
            let (state, changed) = &*pipe.0;
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut state = state.lock();
                state.text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
                changed.wait_while(&mut state, |state| state.reading == Reading::Pauses);
                if state.reading == Reading::Ends {
                    break;
                }
            }
            state.lock().is_over = true;
            changed.notify_all();
        });
    }

    /// Reads the rest of the output of a program that has ended.
    pub(crate) fn finish(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        if state.reading == Reading::Pauses {
            state.reading = Reading::Goes;
            changed.notify_all();
        }
        changed.wait_while(&mut state, |state| !state.is_over);
    }

    pub(crate) fn text(&self) -> String {
        self.0.0.lock().text.clone()
    }

    /// Stops reading after the next line.
    pub(crate) fn pause(&self) {
        self.set(Reading::Pauses);
    }

    pub(crate) fn resume(&self) {
        self.set(Reading::Goes);
    }

    /// Closes the pipe after the next line.
    pub(crate) fn close(&self) {
        self.set(Reading::Ends);
    }

    fn set(&self, reading: Reading) {
        self.0.0.lock().reading = reading;
        self.0.1.notify_all();
    }
}
