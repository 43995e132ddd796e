//! `bare_pingora` with the system's allocator: what mimalloc is worth.

#[path = "bare_pingora/proxy.rs"]
mod proxy;

use std::process::ExitCode;

fn main() -> ExitCode {
    proxy::run()
}
