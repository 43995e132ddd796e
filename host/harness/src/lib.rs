//! Runs a plugin without a proxy: its hooks are called by hand, with made-up messages, in a time that stands
//! still until it is moved.
//!
//! ```text
//! Subject ──▶ Session ──▶ Exchange: requests' filters ──▶ attempts ──▶ responses' filters ──▶ finished
//! a file,     configured, a request  Request               Pool         Response
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
//! | `exchange`, `end` | one request with its surroundings and its end, and what becomes of it |
//! | `route` | the plugin under test, and its neighbors in the list of a route |
//! | `course`, `attempts`, `answer` | the way of an exchange through the hooks, and of a response back |
//! | `body`, `stream` | the hooks for whole bodies, and for those that pass in pieces |
//! | `attempt` | the attempts that plugins prepare and judge |
//! | `explain` | explanations of failures, with advice |
//! | `measure` | the cost of a call of a hook |
//! | `message`, `certificate` | requests and responses; certificates of clients |
//! | `pool` | backends to choose from |
//! | `lines` | the lines that the plugin logs |

mod answer;
mod attempt;
mod attempts;
mod body;
mod certificate;
mod course;
mod end;
mod exchange;
mod explain;
mod lines;
mod measure;
mod message;
mod metrics;
mod pool;
mod route;
mod session;
mod stream;
mod subject;

#[cfg(test)]
mod tests;

pub use attempt::Trial;
pub use certificate::certificate;
pub use end::End;
pub use exchange::{Brought, Exchange, Judged, Made, Outcome, Word};
pub use explain::explain;
pub use lines::Line;
pub use measure::Cost;
pub use message::{Request, Response};
pub use pool::{Backend, Pool};
pub use route::NeighborFailure;
pub use session::{Session, WindowKey};
pub use stream::{Arrival, Passage};
pub use subject::read;
pub use subject::{Setup, Subject, SubjectError};
