//! Declarative tests of a plugin, in a TOML file beside it.
//!
//! ```text
//! text ──▶ raw::File ── resolve ──▶ Suite: cases of steps ── run ──▶ differences ──▶ report
//!          keys, types,             inputs as an Exchange,            expected, found
//!          values                   expectations as a list
//!                                   of checks
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `raw`, `budget`, `certificate`, `scalar`, `value` | the file as written, key by key |
//! | `neighbors` | the other plugins of a route |
//! | `overrides` | requests, pools and responses of several tables, merged |
//! | `keep`, `order`, `template`, `texts` | values that a step keeps, and their place in the texts of later ones |
//! | `expect`, `check` | expectations, and their comparison with results |
//! | `suite`, `resolve` | the cases to run, and how they are made of the file |
//! | `run` | runs a case |
//! | `files` | finds and reads the files |

mod budget;
mod certificate;
mod check;
mod expect;
mod files;
mod keep;
mod neighbors;
mod order;
mod overrides;
mod raw;
mod resolve;
mod run;
mod scalar;
mod suite;
mod template;
mod texts;
mod value;

pub(super) use check::Difference;
pub(super) use files::{FileError, find, load};
pub(super) use run::{CaseFailure, CaseResult, Plugins, run};
pub(super) use suite::{Budget, Case, Suite};
