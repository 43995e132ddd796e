//! The text of an error in a plugin: the place, and the causes.
//!
//! The text is wasmtime's, except that each name is escaped: a file names its functions, modules and sources as it likes,
//! and a line feed in a name would begin a line of the log.

use std::fmt::{self, Display};

use cpp_demangle::Symbol;
use wasmtime::{Error, FrameInfo, FrameSymbol, WasmBacktrace};

use pace_base::escape::{Line, Shown, cut};

/// The longest backtrace, in bytes: shorter than the longest [`Shown`], so that the causes fit behind it.
const MAX_BYTES: usize = 3072;

/// The text of an error, with its backtrace and its causes, each on a line of its own.
pub(super) fn of(error: &Error) -> String {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    // The chain of causes has the backtrace as one of its texts.
    let unescaped = backtrace.map(WasmBacktrace::to_string);
    let mut said = error.chain().map(|cause| {
        let cause = cause.to_string();
        match backtrace {
            Some(backtrace) if unescaped.as_ref() == Some(&cause) => {
                cut(Frames(backtrace.frames()), MAX_BYTES)
            }
            _ => Line(cause).to_string(),
        }
    });
    let mut text = said.next().unwrap_or_default();
    let causes: Vec<String> = said.collect();
    if !causes.is_empty() {
        text.push_str("\n\nCaused by:");
    }
    let is_only = causes.len() == 1;
    for (index, cause) in causes.iter().enumerate() {
        match is_only {
            true => text.push_str("\n    "),
            false => text.push_str(&format!("\n{index:>5}: ")),
        }
        text.push_str(cause);
    }
    Shown::lines(text).into()
}

struct Frames<'a>(&'a [FrameInfo]);

impl Display for Frames<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error while executing at wasm backtrace:")?;
        for (index, frame) in self.0.iter().enumerate() {
            write!(out, "\n  {index:>3}: ")?;
            if let Some(offset) = frame.module_offset() {
                write!(out, "{offset:#8x} - ")?;
            }
            match frame.symbols() {
                [] => {
                    let module = frame.module().name().unwrap_or("<unknown>");
                    write!(out, "{}!{}", Line(module), function(frame))?;
                }
                [first, inlined @ ..] => {
                    let name = first.name().map_or_else(|| function(frame), demangled);
                    write!(out, "{name}{}", Location(first))?;
                    for symbol in inlined {
                        let name = symbol.name().map(demangled);
                        let name = name.as_deref().unwrap_or("<inlined function>");
                        write!(out, "\n                - {name}{}", Location(symbol))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The location of a function in its source, if the file has it.
struct Location<'a>(&'a FrameSymbol);

impl Display for Location<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = self.0.file() else { return Ok(()) };
        write!(out, "\n                    at {}", Line(file))?;
        match (self.0.line(), self.0.column()) {
            (Some(line), Some(column)) => write!(out, ":{line}:{column}"),
            (Some(line), None) => write!(out, ":{line}"),
            (None, _) => Ok(()),
        }
    }
}

fn function(frame: &FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => demangled(name),
        None => format!("<wasm function {}>", frame.func_index()),
    }
}

/// A name as it is in the source, if a compiler of Rust or C++ has mangled it; other names as they are.
fn demangled(name: &str) -> String {
    if let Ok(name) = rustc_demangle::try_demangle(name) {
        return Line(name).to_string();
    }
    let in_cpp = Symbol::new(name).ok().and_then(|symbol| symbol.demangle().ok());
    Line(in_cpp.as_deref().unwrap_or(name)).to_string()
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    /// The text of a trap in a function of this name.
    fn trap_in(name: &str) -> String {
        let engine = Engine::default();
        let text = format!(
            "(module $\"mo\\ndule\" (func $outer (export \"run\") call 1) (func $\"{name}\" unreachable))"
        );
        let module = wat::parse_str(text).expect("it is WebAssembly in its text form");
        let module = Module::new(&engine, module).expect("it is valid");
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("it imports nothing");
        let run = instance
            .get_typed_func::<(), ()>(&mut store, "run")
            .expect("it is there");
        of(&run.call(&mut store, ()).expect_err("it traps"))
    }

    #[test]
    fn name_with_line_feed_stays_on_one_line() {
        let said = trap_in("a\\n[2026-01-01T00:00:00Z ERROR pace] forged\\e2\\80\\ae\\1b[31m");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 6, "{said}");
        assert_eq!(lines[0], "error while executing at wasm backtrace:");
        assert!(
            lines[1].ends_with("mo\\ndule!a\\n[2026-01-01T00:00:00Z ERROR pace] forged\\u{202e}\\u{1b}[31m"),
            "{said}"
        );
        assert!(lines[2].ends_with("mo\\ndule!outer"), "{said}");
        assert_eq!(
            lines[3..],
            [
                "",
                "Caused by:",
                "    wasm trap: wasm `unreachable` instruction executed"
            ]
        );
    }

    #[test]
    fn mangled_names_are_shown_as_in_the_source() {
        assert!(
            trap_in("_ZN4core6option13expect_failed17h0123456789abcdefE")
                .contains("!core::option::expect_failed")
        );
        assert!(trap_in("_ZN3foo3barEv").contains("!foo::bar()"));
        assert!(trap_in("plain").contains("!plain\n"));
    }

    #[test]
    fn causes_follow_a_backtrace_that_was_cut() {
        let said = trap_in(&"x".repeat(10_000));
        assert!(
            said.ends_with("wasm trap: wasm `unreachable` instruction executed"),
            "{said}"
        );
    }

    #[test]
    fn error_with_several_causes_numbers_them() {
        let error = Error::msg("a\nb").context("c").context("d");
        assert_eq!(of(&error), "d\n\nCaused by:\n    0: c\n    1: a\\nb");
    }

    #[test]
    fn error_without_causes_is_one_line() {
        assert_eq!(of(&Error::msg("it broke")), "it broke");
    }
}
