//! What is said of a panic: an entry of the log, written like any other.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{self, PanicHookInfo, UnwindSafe};
use std::sync::Arc;
use std::thread;

use log::Level;

use super::queue::Queue;
use super::{colors, line, write};

thread_local! {
    /// Whether a panic of this thread is an answer like any other.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Does something that panics instead of failing: a library that takes what it is given for valid. `None` if it does, and
/// then there is no entry.
pub fn unless_it_panics<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    let before = IS_EXPECTED.replace(true);
    let done = panic::catch_unwind(work);
    IS_EXPECTED.set(before);
    done.ok()
}

/// From now on, panics are said so: as `std` words it, with the backtrace that `RUST_BACKTRACE` asks for.
///
/// `std` would write it itself, and a thread that serves would wait with it for whoever reads.
pub(super) fn say(queue: Option<Arc<Queue>>) {
    let colors = colors();
    panic::set_hook(Box::new(move |panic| {
        if !IS_EXPECTED.get() {
            write(queue.as_deref(), &said(panic, colors));
        }
    }));
}

fn said(panic: &PanicHookInfo<'_>, colors: bool) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = panic
        .location()
        .map_or_else(String::new, |place| format!(" at {place}"));
    let why = panic.payload_as_str().unwrap_or("it does not say why");
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("\nstack backtrace:\n{backtrace}"),
        _ => String::new(),
    };
    let message = format_args!("thread '{name}' panicked{place}: {why}{backtrace}");
    line::entry(colors, Level::Error, "pace", message)
}
