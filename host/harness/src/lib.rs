//! A plugin without a proxy: its hooks are called by hand, with messages that nobody sent, in a time that
//! stands still until it is moved.
//!
//! ```text
//! Subject ──▶ Session ──▶ Exchange: request-filter ──▶ select-upstream ──▶ response-filter
//! a file,     configured, a request   Request           Pool                Response
//! compiled    with a time
//! ```
//!
//! What runs is the plugin as Pace runs it: the same component, instance, limits and capabilities. Only what is
//! around it is made by hand.
//!
//! | file | what it holds |
//! |---|---|
//! | `subject` | a file that was compiled, and what it is run with |
//! | `session` | one configured plugin with its own counters, windows, log and time |
//! | `exchange` | one request on its way through the hooks |
//! | `explain` | what a failure means, and what to do about it |
//! | `measure` | what a call of a hook costs |
//! | `message` | requests and responses |
//! | `pool` | backends to choose from |
//! | `lines` | what the plugin logs |

mod exchange;
mod explain;
mod lines;
mod measure;
mod message;
mod pool;
mod session;
mod subject;

#[cfg(test)]
mod tests;

pub use exchange::{Exchange, Outcome, Word};
pub use explain::explain;
pub use lines::Line;
pub use measure::Cost;
pub use message::{Request, Response};
pub use pool::{Backend, Pool};
pub use session::{Session, WindowKey};
pub use subject::read;
pub use subject::{Setup, Subject, SubjectError};
