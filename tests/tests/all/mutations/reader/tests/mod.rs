//! Tests of the reader, which nothing else tests.

mod requests;
mod responses;
