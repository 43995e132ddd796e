//! Compiling: from the bytes of a file to machine code, in this process or in one that does nothing else.
//!
//! A compiler takes cores for some hundredths of a second to some seconds, and is slow to return its memory. That slows
//! requests down: its threads compete with the workers for cores and for the lock of the address space. A process of its
//! own can be given the time that no other process wants, and it can be ended, which a thread cannot.
//!
//! | file | what it does |
//! |---|---|
//! | `compiled` | the code of a plugin, and its way from one process to another |
//! | `parent` | starts a process that compiles, and waits for it until a timeout |
//! | `child` | is that process: `pace compile-plugin` |

mod child;
mod compiled;
mod parent;

pub(super) use child::MAX_GIBIBYTES;
pub use child::{CompileArgs, compile_for_parent};
pub use compiled::CompileError;
pub(super) use compiled::Compiled;
pub use parent::{Compiler, CpuTime};
