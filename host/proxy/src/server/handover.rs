//! One process takes the place of another without a connection lost: the running Pace starts the program that is installed
//! now, with its own arguments, and hands its listening sockets over.
//!
//! ```text
//! SIGUSR2 ──▶ the old process                 the new process
//!             starts the program ───────────▶ standard input is the channel between both
//!             each listening socket ────────▶ reads its configuration, compiles plugins, starts threads
//!             goes on serving                 is ready, and accepts nothing yet
//!                                    ◀─────── ready
//!             tells systemd its process id
//!             you serve ────────────────────▶ accepts
//!             stops accepting, drains
//!             how that ended ───────────────▶ logs and counts it
//! ```
//!
//! Both have the same sockets, so the kernel keeps one queue of connections, and none of them is refused. Until the new
//! process is ready, it may fail in any way: the old one serves on. Sockets travel as `SCM_RIGHTS`, hence nothing else that
//! the old process starts in the meantime can inherit them.
//!
//! | file | what it does |
//! |---|---|
//! | `channel` | messages and descriptors between both |
//! | `successor` | the old process's side: starts the new one |
//! | `predecessor` | the new process's side: takes over |
//! | `program` | the program, and the arguments that it was started with |

mod channel;
mod predecessor;
mod program;
mod successor;

pub(super) use self::channel::{Description, Ended};
pub use self::predecessor::HandoverError;
pub(super) use self::predecessor::Predecessor;
pub(super) use self::program::Program;
pub(super) use self::successor::{Given, Successor, UpgradeError};

/// The variable that tells a new process that its standard input is a channel. Its value is the version of the messages.
const VARIABLE: &str = "PACE_HANDOVER";
const VERSION: &str = "1";
