//! Sources that the binary carries: the contract, and the SDK for plugins in Rust.

/// Files: path and content.
pub(crate) type Files = &'static [(&'static str, &'static str)];

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
