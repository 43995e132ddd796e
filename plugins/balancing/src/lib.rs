//! The parts that the balancers share. It is a library: each balancer is a plugin of its own.
//!
//! ```text
//! Backends ──▶ Eligible ──▶ Choices ──▶ the less loaded of two random ones
//! the pool     who may be   weighted
//!              asked        draws
//!     └── once per version, kept in Pools ──┘
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | `backends` | the pool as a policy sees it, in the sandbox and without |
//! | `eligible` | which backends get requests, and which of them first |
//! | `draw` | one backend at random, by weight |
//! | `choices` | the less loaded of two random backends |
//! | `pools` | the results of work that is done once per version of a pool |
//! | `random` | random numbers |

#![forbid(unsafe_code)]

mod backends;
mod choices;
mod draw;
mod eligible;
mod pools;
mod random;
#[doc(hidden)]
pub mod testing;

pub use backends::Backends;
pub use choices::{Choices, Load};
pub use draw::Draw;
pub use eligible::{Eligible, Member};
pub use pools::Pools;
pub use random::{Random, mix};
