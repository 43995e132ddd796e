//! `bare-pingora` with the system's allocator: what mimalloc is worth.

use std::process::ExitCode;

fn main() -> ExitCode {
    bare_pingora::run()
}
