//! The tests of Pace, in `tests/all`. They are written with the kit, which is here under their own name.

pub use pace_kit::*;
