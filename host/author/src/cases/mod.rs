//! Declarative tests of a plugin: a TOML file beside it, from text to a verdict.
//!
//! ```text
//! text ──▶ raw::File ── resolve ──▶ Suite: cases of steps ── run ──▶ differences ──▶ report
//!          keys, types,             what is given, as an             expected, found
//!          values                   Exchange; what is expected,
//!                                   as a list of checks
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `raw`, `budget`, `scalar`, `value` | what is written, key by key |
//! | `given` | requests, pools and answers of backends, laid over each other |
//! | `expect`, `check` | what is expected, and whether it is so |
//! | `suite`, `resolve` | what is run, and how it is made of what is written |
//! | `run` | runs a case |
//! | `files` | finds the files |

mod budget;
mod check;
mod expect;
mod files;
mod given;
mod raw;
mod resolve;
mod run;
mod scalar;
mod suite;
mod value;

pub(super) use check::Difference;
pub(super) use files::{FileError, find, load};
pub(super) use run::{Ending, Failed, run};
pub(super) use suite::{Budget, Case, Suite};
