//! `bare-pingora` with the system's allocator, to show the effect of mimalloc.

use std::process::ExitCode;

fn main() -> ExitCode {
    bare_pingora::run()
}
