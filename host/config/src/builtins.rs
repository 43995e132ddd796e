/// The plugins that are part of the binary: `builtin:NAME`. This list is the only one; the crates that build
/// and embed them include this file.
pub const BUILTINS: [&str; 6] = [
    "rate-limiter",
    "round-robin",
    "least-request",
    "peak-ewma",
    "consistent-hash",
    "header-injection",
];
