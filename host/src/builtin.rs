//! The default plugins, as the bytes of their components.
//!
//! They are in every `pace`. The library can be built without them, for tests of other plugins: then nobody has to
//! compile them first.

/// Names and components. `wasm = "builtin:NAME"` in the configuration means one of these.
#[cfg(feature = "builtins")]
const BUILTINS: &[(&str, &[u8])] = &[
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

#[cfg(not(feature = "builtins"))]
const BUILTINS: &[(&str, &[u8])] = &[];

/// The component of this name, if this was built with it.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}
