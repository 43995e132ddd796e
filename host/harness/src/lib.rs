//! Runs a plugin without a proxy: its hooks are called by hand, with made-up messages, in a time that stands
//! still until it is moved.
//!
//! ```text
//! Subject ──▶ Session ──▶ Exchange: request-filter ──▶ select-upstream ──▶ response-filter ──▶ finished
//! a file,     configured, a request   Request           Pool                Response
//! compiled    with a time
//! ```
//!
//! The plugin runs as in Pace: the same component, instance, limits and capabilities. Only its surroundings
//! are made by hand.
//!
//! | file | what it holds |
//! |---|---|
//! | `subject` | a compiled file, and the settings that it runs with |
//! | `session` | one configured plugin with its own state, log and time |
//! | `exchange`, `end` | one request on its way through the hooks, and its end |
//! | `body` | the hooks for whole bodies |
//! | `attempt` | the attempts that plugins prepare and judge |
//! | `explain` | explanations of failures, with advice |
//! | `measure` | the cost of a call of a hook |
//! | `message`, `certificate` | requests and responses; certificates of clients |
//! | `pool` | backends to choose from |
//! | `lines` | the lines that the plugin logs |

mod attempt;
mod body;
mod certificate;
mod end;
mod exchange;
mod explain;
mod lines;
mod measure;
mod message;
mod metrics;
mod pool;
mod session;
mod subject;

#[cfg(test)]
mod tests;

pub use attempt::Trial;
pub use certificate::certificate;
pub use end::End;
pub use exchange::{Exchange, Outcome, Word};
pub use explain::explain;
pub use lines::Line;
pub use measure::Cost;
pub use message::{Request, Response};
pub use pool::{Backend, Pool};
pub use session::{Session, WindowKey};
pub use subject::read;
pub use subject::{Setup, Subject, SubjectError};
