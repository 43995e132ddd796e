//! The parts of a connection: a socket, memory that is held only while there is something in it, and one timer.
//!
//! | file | what it has |
//! |---|---|
//! | `transport` | reads and writes bytes: a socket, TLS on one, or a stream of HTTP/2 |
//! | `stream` | a request of HTTP/2 and its response, among others on a connection |
//! | `traffic` | counts what a connection that requests share has sent |
//! | `buffer` | bytes that have been read, in memory that each thread lends and takes back |
//! | `flushed` | waits until what was written has left |
//! | `alarm` | one timer for all waits of a connection |
//! | `recycled` | recycles heads together with their memory |

mod alarm;
mod buffer;
mod flushed;
mod recycled;
mod stream;
mod traffic;
mod transport;

pub use alarm::Alarm;
pub use buffer::{Block, Buffer};
pub use flushed::flushed;
pub use recycled::{Free, Recycle, Recycled};
pub use stream::{Stream, Unanswered, append_field};
pub use traffic::{Share, Traffic};
pub use transport::{Transport, set_up};
