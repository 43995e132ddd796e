//! The parts that every crate of Pace uses, and that depend on none of them.
//!
//! | module | what it does |
//! |---|---|
//! | [`logging`] | the log: lines that never block a caller that serves |
//! | [`escape`] | escapes for text from outside, before it reaches a log, a terminal or a page |
//! | [`file`](mod@file) | reading files that may be anything |
//! | [`limiter`] | events per second, counted and bounded |
//! | [`handoff`] | a bounded queue from threads that serve to one that may block |
//! | [`plural`] | numbers of things in sentences |
//! | [`processors`] | how many processors this process may use |
//! | [`allocator`] | the global allocator, and how the process ends when memory runs out |

pub mod allocator;
pub mod escape;
pub mod file;
pub mod handoff;
pub mod limiter;
pub mod logging;
pub mod plural;
pub mod processors;
