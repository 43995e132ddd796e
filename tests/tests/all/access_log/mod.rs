//! The access log: one line per request, if it is switched on.

mod choice;
mod endings;
mod fields;
mod files;
mod process;

use std::fs;

use pace_tests::{HttpBackend, Pace, Setup, wait_for};
use serde_json::Value;

use crate::sections::plain;

/// The file that lines are written to in these tests.
const FILE: &str = "access.log";

/// A Pace before a backend, with these keys of `[access_log]` beside the file.
fn start(backend: &HttpBackend, keys: &str) -> Pace {
    Setup::new().config(&config(backend, keys)).start()
}

fn config(backend: &HttpBackend, keys: &str) -> String {
    format!("{}\n[access_log]\nfile = \"{FILE}\"\n{keys}\n", plain(&[backend]))
}

/// Waits for so many lines, and returns all that there are then.
fn lines(pace: &Pace, most: usize) -> Vec<String> {
    wait_for(&format!("{most} lines"), || {
        let text = fs::read_to_string(pace.directory().join(FILE)).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.len() <= most, "{lines:#?}");
        (lines.len() == most && text.ends_with('\n')).then_some(lines)
    })
}

/// Waits for so many lines, which are objects.
fn objects(pace: &Pace, most: usize) -> Vec<Value> {
    lines(pace, most)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Waits for the only line.
fn object(pace: &Pace) -> Value {
    objects(pace, 1).remove(0)
}
