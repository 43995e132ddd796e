//! Plugins in WebAssembly. This is the only crate that depends on wasmtime.
//!
//! ```text
//! file ──▶ load ──▶ Program ──▶ Generation ──▶ WasmPlugin ──▶ Instance (one per worker thread, or per call)
//!          check    compiled    + limits,      + config       + Guest: what the host lends during one call
//!                               + fitness
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `engine` | the runtime: a compiler, or a few, and the instances of one process or of one part of it |
//! | `deadline` | the clock by which hooks are stopped |
//! | `meter` | measures what a call takes of the host: time, and bytes that it hands over |
//! | `load`, `describe`, `error` | from bytes to a checked program, or to a reason that an operator understands |
//! | `compiler` | from bytes to machine code, here or in a process of its own |
//! | `ahead` | settings of the compiler, shared with the build script, which compiles the default plugins |
//! | `inspect`, `contract` | describes any file, also one that cannot be used, and how it differs from the contract |
//! | `generation`, `fitness`, `breaker` | one version of a plugin, and whether it is fit to be called |
//! | `program` | a generation with a configuration: implements [`pace_hook::Plugin`] |
//! | `recycling` | the end of instances that have grown too large or old, told and counted |
//! | `slots` | the instances that a thread keeps, and when it drops them |
//! | `instance` | one instance: entering it under limits, leaving it, telling failures apart |
//! | `backtrace` | the text of a trap, with names that come from the file |
//! | `streams` | messages of stream filters, whose objects stay in an instance from call to call |
//! | `code`, `stream_filter`, `direct` | compiled code, run as a component or without it |
//! | `guest`, `lend` | everything that an instance's host functions can reach |
//! | `capability` | the host functions, one file per interface of the contract |
//! | `bindings` | generated from `wit/` |
//! | [`builtin`] | the default plugins, which the binary carries |

mod ahead;
mod backtrace;
mod bindings;
mod breaker;
pub mod builtin;
mod capability;
mod code;
mod compiler;
mod contract;
mod deadline;
mod describe;
mod direct;
mod engine;
mod error;
mod fitness;
mod generation;
mod guest;
mod inspect;
mod instance;
mod lend;
mod load;
mod meter;
mod program;
mod recycling;
mod slots;
mod stream_filter;
mod streams;

pub use breaker::BreakerState;
pub use compiler::{CompileArgs, CompileError, Compiler, CpuTime, compile_for_parent};
pub use contract::CONTRACT_FILES;
pub use engine::{Allocation, Runtime};
pub use error::{LoadError, Side, TypeDifference, WrongType};
pub use generation::{Generation, LogSink, OnUnfit, Settings};
pub use inspect::Inspection;
pub use instance::Usage;
pub use load::{Kind, Program, component, read};
pub use program::WasmPlugin;
pub use recycling::{NarrowLimits, RECYCLING_REASONS};

/// Limits of the state of a plugin, from the limits in its configuration.
pub fn state_limits(limits: &pace_config::Limits) -> pace_state::ScopeLimits {
    pace_state::ScopeLimits {
        windows: limits.windows,
        keys_per_window: limits.window_keys,
        tables: limits.tables,
        value_bytes: limits.value_bytes,
        metrics: limits.metrics,
        bytes: limits.state,
        ..pace_state::ScopeLimits::default()
    }
}
