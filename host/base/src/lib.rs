//! The parts that every crate of Pace stands on, and that know of none of them.
//!
//! | module | what it does |
//! |---|---|
//! | [`logging`] | the log: lines that never hold anything up |
//! | [`escape`] | text from outside, made fit for a log, a terminal and a page |
//! | [`file`](mod@file) | reading files that may be anything |
//! | [`limiter`] | events per second, counted and bounded |
//! | [`allocator`] | what becomes of a process that gets no more memory |

pub mod allocator;
pub mod escape;
pub mod file;
pub mod limiter;
pub mod logging;
