//! WebAssembly: the only module that names wasmtime.
//!
//! ```text
//! file ──▶ load ──▶ Program ──▶ WasmPlugin ──▶ Instance (one per worker thread, made when first needed)
//!          check     compiled    + config        + Guest: what the host lends during one call
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `engine` | one compiler and one clock of deadlines for the process |
//! | `load`, `describe`, `error` | from bytes to a checked program, or to a reason that an operator understands |
//! | `program` | a program with its configuration: implements [`crate::hook::Plugin`] |
//! | `instance` | one instance: entering it under limits, leaving it, telling failures apart |
//! | `guest`, `lend` | what an instance's host functions can reach |
//! | `capability` | the host functions, one file per interface of the contract |
//! | `bindings` | generated from `wit/` |

mod bindings;
mod capability;
mod describe;
mod engine;
mod error;
mod guest;
mod instance;
mod lend;
mod load;
mod program;

pub use engine::Runtime;
pub use error::LoadError;
pub use load::Program;
pub use program::WasmPlugin;
