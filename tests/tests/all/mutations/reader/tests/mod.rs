//! The reader, which is not tested by anything else.

mod requests;
mod responses;
