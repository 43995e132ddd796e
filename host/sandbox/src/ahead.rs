//! The settings of every compiler, and where a component has its module: what the build script, which compiles the default
//! plugins ahead of time, and this program have to agree on. This file is a part of both.

use std::ops::Range;

use wasmparser::{Parser, Payload};
use wasmtime::{Config, WasmBacktraceDetails};

/// What machine code depends on, apart from the size of memories and from counting instructions. wasmtime writes it into
/// the code, and takes no code for other settings.
pub(super) fn settings() -> Config {
    let mut config = Config::new();
    config
        // Nothing here waits inside wasm; without it a call does not set up the means to.
        .concurrency_support(false)
        // Otherwise a variable of the environment decides, and code for one of its values is none for the other.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .epoch_interruption(true);
    config
}

/// Where the first module of a component is. Those that `wit-component` adds follow it.
pub(super) fn first_module(component: &[u8]) -> Option<Range<usize>> {
    Parser::new(0)
        .parse_all(component)
        .find_map(|payload| match payload {
            Ok(Payload::ModuleSection { unchecked_range, .. }) => Some(unchecked_range),
            _ => None,
        })
}
