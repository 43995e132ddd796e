//! The content of messages, as plugins see it.
//!
//! The crate is pure: bytes go in, answers and other bytes come out. It knows no socket, clock, configuration or plugin.
//!
//! | module | what it has |
//! |---|---|
//! | [`body`] | the content for which a hook runs: its sent and its shown form, questions, edits |
//! | [`budget`] | the memory that all bodies may take together |
//! | [`collect`], [`decode`] | bodies while they arrive: limits, room, and the way back from content codings |
//! | [`frames`] | units of messages that pass in pieces |
//! | [`headers`] | header fields that speak of a body |
//! | [`json`] | questions about content that is JSON |
//! | [`find`], [`hash`] | the search for bytes; digests and HMAC |

pub mod body;
pub mod budget;
pub mod collect;
pub mod decode;
pub mod find;
pub mod frames;
pub mod hash;
pub mod headers;
pub mod json;
