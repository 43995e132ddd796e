//! Certificates from an authority that speaks ACME (RFC 8555), ordered at the start, renewed in time, kept in files.
//!
//! ```text
//!  Acme::open ─▶ Acme::run ── order ──▶ authority
//!      │             │                      │ asks over HTTP or TLS: Challenges
//!      │             ├──▶ files: account, certificate with key
//!      ▼             ▼
//!  watched: the certificate, the status
//! ```
//!
//! A failure is only a line of the status: the held certificate serves on, and the next attempt follows after a pause
//! that doubles. The policy of that is [`schedule`], which is pure.

mod challenges;
mod driver;
mod files;
mod http;
mod order;
pub mod schedule;
mod settings;
mod status;

pub(crate) use challenges::TLS_ALPN;
pub use challenges::{Challenges, HTTP_PATH};
pub use driver::{Acme, Watched};
pub use files::StateError;
pub use settings::{AcmeError, ChallengeKind, Settings};
pub use status::{Failure, Status};
