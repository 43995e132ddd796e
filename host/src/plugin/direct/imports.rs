//! Host functions as a core module imports them.

use wasmtime::{Engine, IntoFunc, Linker, Result};

use super::super::capability;
use super::super::guest::Guest;
use crate::CONTRACT;

/// One interface of the contract, to be filled with its functions.
///
/// Their types are those into which the canonical ABI flattens the contract's: a string or list is two
/// numbers, a variant its case and the numbers of the longest one, and a result that is more than one number
/// goes to a place that the plugin names with a further parameter, here always `out`.
pub(in super::super) struct Interface<'l> {
    linker: &'l mut Linker<Guest>,
    module: String,
}

impl Interface<'_> {
    /// Adds a function of the interface. Methods are called `[method]resource.name`.
    pub(in super::super) fn func<P, R>(
        &mut self,
        name: &str,
        function: impl IntoFunc<Guest, P, R>,
    ) -> Result<&mut Self> {
        self.linker.func_wrap(&self.module, name, function)?;
        Ok(self)
    }
}

/// A linker with all that a plugin may import.
pub(in super::super) fn linker(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    let (package, version) = CONTRACT.split_once('@').expect("the contract has a version");
    for (name, add) in capability::DIRECT {
        add(&mut Interface {
            linker: &mut linker,
            module: format!("{package}/{name}@{version}"),
        })?;
    }
    Ok(linker)
}
