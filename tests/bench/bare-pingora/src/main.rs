//! Pingora with a round robin and nothing else, with which `cargo xtask bench` compares Pace.

use std::process::ExitCode;

/// The allocator of `pace`: the comparison is of proxies, not of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bare_pingora::run()
}
