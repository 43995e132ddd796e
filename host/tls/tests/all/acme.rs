//! Certificates from an authority: Debian's `pebble`, with a name server that has all names at 127.0.0.1.
//!
//! Without pebble these tests print that, and do nothing.

mod authority;
mod orders;
mod settings;
