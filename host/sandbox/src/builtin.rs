//! The default plugins: their components, and the machine code of these.
//!
//! They are in every `pace`. The library can be built without them, for tests of other plugins: then nobody has to
//! compile them first.

use std::ops::Range;

/// A default plugin. `wasm = "builtin:NAME"` in the configuration means it.
struct Builtin {
    name: &'static str,
    component: &'static [u8],
    /// Where the component has its module. Empty without code.
    module: Range<usize>,
    /// What wasmtime makes of the module on a processor that can do what every processor of this kind can. Empty if this
    /// was built without the feature `precompiled`, or for another kind of machine than it was built on.
    code: &'static [u8],
}

#[cfg(feature = "builtins")]
include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

#[cfg(not(feature = "builtins"))]
const BUILTINS: &[Builtin] = &[];

/// The component of this name, if this was built with it.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|builtin| builtin.name == name)
        .map(|builtin| builtin.component)
}

/// The code that was made of this module when this was built, if it is a default plugin's.
pub(crate) fn code(module: &[u8]) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|builtin| builtin.component[builtin.module.clone()] == *module)
        .map(|builtin| builtin.code)
        .filter(|code| !code.is_empty())
}
