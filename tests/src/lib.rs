//! The tests of Pace, in `tests/all`. This crate re-exports the kit, with which they are written.

pub use pace_kit::*;
