//! Random numbers that nobody can foresee: good enough for identifiers and keys.
//!
//! In cases (`pace plugin test`) they are the same in every run.
//!
//! ```no_run
//! use pace_plugin::random;
//!
//! let id = format!("{:016x}", random::number());
//! let is_sampled = random::number() % 100 == 0;
//! ```

use crate::bindings::imports::pace::plugin::random as host;

/// A number, each of the 2^64 as likely as any other.
///
/// ```no_run
/// let id = pace_plugin::random::number();
/// ```
pub fn number() -> u64 {
    host::number()
}

/// So many bytes.
///
/// # Panics
///
/// Traps for more than 65536.
///
/// ```no_run
/// let key = pace_plugin::random::bytes(32);
/// ```
pub fn bytes(length: usize) -> Vec<u8> {
    // A length that does not fit is too long in any case.
    host::bytes(u32::try_from(length).unwrap_or(u32::MAX))
}
