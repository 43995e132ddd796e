//! From the bytes of a file to machine code: here, or in a process that does nothing else.
//!
//! A compiler wants cores for some hundredths of a second to some seconds, and memory that it returns at its leisure. Next
//! to requests that is felt: its threads compete with the workers for cores and for the lock of the address
//! space. A process of its own can be given what nobody else wants, and it can be ended, which a thread
//! cannot.
//!
//! | file | what it does |
//! |---|---|
//! | `compiled` | what the compiler makes of a plugin, and how that goes from one process to another |
//! | `parent` | starts such a process, and waits for it for so long |
//! | `child` | is that process: `pace compile-plugin` |

mod child;
mod compiled;
mod parent;

pub(super) use child::MAX_GIBIBYTES;
pub use child::{CompileArgs, compile_for_parent};
pub use compiled::CompileError;
pub(super) use compiled::Compiled;
pub use parent::{Compiler, CpuTime};
