//! The default plugins, as the bytes of their components.

/// Names and components. `wasm = "builtin:NAME"` in the configuration means one of these.
const BUILTINS: [(&str, &[u8]); 3] = [
    (
        "rate-limiter",
        include_bytes!(concat!(env!("PACE_BUILTINS"), "/rate-limiter.wasm")),
    ),
    (
        "round-robin",
        include_bytes!(concat!(env!("PACE_BUILTINS"), "/round-robin.wasm")),
    ),
    (
        "header-injection",
        include_bytes!(concat!(env!("PACE_BUILTINS"), "/header-injection.wasm")),
    ),
];

/// The component of this name.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}
