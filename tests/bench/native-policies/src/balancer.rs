//! The balancers of the binary without the sandbox.

mod pool;
mod round_robin;

pub(crate) use round_robin::RoundRobin;
