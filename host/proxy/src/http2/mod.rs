//! HTTP/2 (RFC 9113) with clients and backends. The crate `h2` handles frames, windows and the compression of fields,
//! within the bounds that are set here.
//!
//! ```text
//! client  ◀──▶ Io ◀──▶ h2::server::Connection        h2::client::Connection ◀──▶ Io ◀──▶ backend
//!              └─▶ Watch ──▶ Seen: refused heads, floods, the end                 └─▶ Traffic: floods, silence
//! ```
//!
//! The crate answers some faults of clients by itself and reports nothing about them, so they are read from its frames.
//!
//! | file | what it has |
//! |---|---|
//! | `client` | the connection of a client |
//! | `session` | the connection to a backend, which many requests share |
//! | `io` | the bytes of both |
//! | `watch`, `frames` | look at the frames of clients, and those that answer them |
//! | `allowance` | bounds the frames that carry no message |

mod allowance;
mod client;
mod frames;
mod io;
mod session;
mod watch;

use std::time::Duration;

pub use client::{PREFACE, handshake};
pub use io::Io;
pub use session::{Begun, Driver, MAX_STREAMS, begin, share};
pub use watch::{Ending, Seen};

/// The most bytes of a body that may come before they have been passed on. A body at 1 Gbit/s over 2 ms fills this
/// window; a larger one would be held in memory for a slower receiver.
const STREAM_WINDOW: u32 = 256 << 10;

/// The most bytes of a body that wait to be written.
const SEND_BUFFER: usize = 128 << 10;

/// How long a stream that was reset is remembered, so that frames still on their way are no fault.
const RESET_MEMORY: Duration = Duration::from_secs(5);
