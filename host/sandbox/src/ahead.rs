//! The settings of every compiler, and the place of the module in a component.
//!
//! The build script, which compiles the default plugins ahead of time, and this program have to agree on both, so this
//! file is a part of each.

use std::ops::Range;

use wasmparser::{Parser, Payload};
use wasmtime::{Config, WasmBacktraceDetails};

/// The settings that machine code depends on, apart from the size of memories and from counting instructions. wasmtime
/// writes them into the code, and takes no code for other settings.
pub(super) fn settings() -> Config {
    let mut config = Config::new();
    config
        // Hooks do not wait inside wasm; without this, a call does not set up the means to.
        .concurrency_support(false)
        // Otherwise an environment variable decides, and code for one of its values is not accepted for the other.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .epoch_interruption(true);
    config
}

/// The place of the first module in a component. Modules that `wit-component` adds follow it.
pub(super) fn first_module(component: &[u8]) -> Option<Range<usize>> {
    Parser::new(0)
        .parse_all(component)
        .find_map(|payload| match payload {
            Ok(Payload::ModuleSection { unchecked_range, .. }) => Some(unchecked_range),
            _ => None,
        })
}
