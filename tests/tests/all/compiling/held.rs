//! Compiling processes, stopped for as long as a test wants.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pace_tests::{Signal, wait_for};
use rustix::process::{Pid, kill_process};

/// Stopped compilers. They stay stopped until this is dropped: one that has not ended after some seconds is
/// replaced by another, which is stopped, too.
pub(super) struct Held {
    tasks: PathBuf,
    holding: Arc<AtomicBool>,
    holder: Option<JoinHandle<()>>,
}

impl Held {
    /// Stops the compiler of the process with these threads, as soon as there is one. `None` if it ended
    /// first.
    pub(super) fn compiler(tasks: PathBuf) -> Option<Held> {
        let compiler = wait_for("the compiler to start", || compilers(&tasks).into_iter().next());
        // Pace, its parent, waits for it, and may have done so already.
        kill_process(compiler, Signal::STOP).ok()?;
        let held = Held::new(tasks);
        wait_for("the compiler to stop, or to be at its end", || {
            match state(compiler)? {
                'T' => Some(Some(())),
                'Z' | 'X' => Some(None),
                _ => None,
            }
        })?;
        Some(held)
    }

    fn new(tasks: PathBuf) -> Held {
        let holding = Arc::new(AtomicBool::new(true));
        let (still, of_thread) = (Arc::clone(&holding), tasks.clone());
        let holder = thread::spawn(move || {
            while still.load(Ordering::Relaxed) {
                signal(&of_thread, Signal::STOP);
                thread::sleep(Duration::from_millis(5));
            }
        });
        Held {
            tasks,
            holding,
            holder: Some(holder),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holding.store(false, Ordering::Relaxed);
        if let Some(holder) = self.holder.take() {
            holder.join().expect("it only sends signals");
        }
        signal(&self.tasks, Signal::CONT);
    }
}

/// Sends a signal to all compilers. One that Pace has killed meanwhile is gone, which Pace is free to do.
fn signal(tasks: &Path, signal: Signal) {
    for compiler in compilers(tasks) {
        let _ = kill_process(compiler, signal);
    }
}

/// The compilers of the process with these threads.
fn compilers(tasks: &Path) -> Vec<Pid> {
    // The process may have ended, with all that it had started.
    let tasks = fs::read_dir(tasks).into_iter().flatten();
    let children = tasks
        // Threads come and go.
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|text| {
            let pids = text.split_whitespace().map(str::parse).map(Result::ok);
            pids.map(|pid| pid.and_then(Pid::from_raw)).collect::<Vec<_>>()
        })
        .flatten();
    children.filter(|child| compiles(*child)).collect()
}

/// Whether a child is a compiler. Before it executes another program it looks like its parent.
fn compiles(child: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", child.as_raw_nonzero());
    fs::read_to_string(path).is_ok_and(|line| line.contains("compile-plugin"))
}

/// The state of a process: `T` if it is stopped. `X` for one that is gone.
fn state(process: Pid) -> Option<char> {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let Ok(text) = fs::read_to_string(path) else {
        return Some('X');
    };
    // `PID (NAME) STATE ...`
    text.rsplit_once(") ")?.1.chars().next()
}
