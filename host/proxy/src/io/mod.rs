//! What a connection is made of: a socket, memory that is held only while there is something in it, and one timer.
//!
//! | file | what it has |
//! |---|---|
//! | `transport` | the socket |
//! | `buffer` | bytes that have been read, in memory that each thread lends and takes back |
//! | `alarm` | one timer for all the waits of a connection |
//! | `recycled` | heads and the like, whose memory is used again |

mod alarm;
mod buffer;
mod recycled;
mod transport;

pub use alarm::Alarm;
pub use buffer::Buffer;
pub use recycled::{Free, Recycle, Recycled};
pub use transport::{Transport, set_up};
