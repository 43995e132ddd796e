//! The default plugins: their components and machine code.
//!
//! Every `pace` has them. The library can be built without them, so that a project that tests its own plugin need not
//! compile them first.

use std::ops::Range;

/// A default plugin, which `wasm = "builtin:NAME"` in the configuration names.
struct Builtin {
    name: &'static str,
    component: &'static [u8],
    /// The place of the module in the component. Empty without code.
    module: Range<usize>,
    /// The module's machine code for any processor of this kind. Empty if this was built without the feature
    /// `precompiled`, or for another kind of machine than it was built on.
    code: &'static [u8],
}

#[cfg(feature = "builtins")]
include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

#[cfg(not(feature = "builtins"))]
const BUILTINS: &[Builtin] = &[];

/// The component of a default plugin, if this was built with it.
pub fn component(name: &str) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|builtin| builtin.name == name)
        .map(|builtin| builtin.component)
}

/// The code of a default plugin's module that was made when this was built; `None` for any other module.
pub(crate) fn code(module: &[u8]) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|builtin| builtin.component[builtin.module.clone()] == *module)
        .map(|builtin| builtin.code)
        .filter(|code| !code.is_empty())
}
