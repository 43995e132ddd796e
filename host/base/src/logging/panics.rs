//! Logs panics as entries like any other.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{self, PanicHookInfo, UnwindSafe};
use std::sync::Arc;
use std::thread;

use log::Level;

use super::queue::Queue;
use super::{colors, line, write};

thread_local! {
    /// Whether a panic of this thread counts as a result, and is not logged.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls code that panics instead of failing, such as a library that takes its input for valid. `None` if it
/// panics; the panic is not logged.
pub fn catch_panic<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    let before = IS_EXPECTED.replace(true);
    let done = panic::catch_unwind(work);
    IS_EXPECTED.set(before);
    done.ok()
}

/// Installs the panic hook: panics are logged in the words of `std`, with the backtrace that `RUST_BACKTRACE`
/// asks for.
///
/// `std` itself would write to standard error, and a serving thread would wait for the reader.
pub(super) fn install(queue: Option<Arc<Queue>>) {
    let colors = colors();
    panic::set_hook(Box::new(move |panic| {
        if !IS_EXPECTED.get() {
            write(queue.as_deref(), &entry(panic, colors));
        }
    }));
}

fn entry(panic: &PanicHookInfo<'_>, colors: bool) -> String {
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
