//! Imports: host functions for core modules.

use std::collections::HashSet;

use wasmtime::{Engine, InstancePre, IntoFunc, Linker, Module, Result};

use super::super::capability;
use super::super::guest::Guest;
use super::memory::Caller;
use super::names;
use super::own;
use pace_hook::Hook;

/// One interface of the contract, to be filled with its functions.
///
/// The functions have the types to which the canonical ABI flattens those of the contract: a string or list is two
/// numbers, a variant is its case and the numbers of the longest case, and a result of more than one number goes to a
/// place that the plugin names with a further parameter, here always `out`.
pub(in super::super) struct Interface<'l> {
    all: &'l mut Imports,
    module: String,
}

impl Interface<'_> {
    /// Adds a function of the interface. Methods are called `[method]resource.name`.
    pub(in super::super) fn func<P, R>(
        &mut self,
        name: &str,
        function: impl IntoFunc<Guest, P, R>,
    ) -> Result<&mut Self> {
        self.all.linker.func_wrap(&self.module, name, function)?;
        self.all.names.insert((self.module.clone(), name.to_owned()));
        Ok(self)
    }
}

/// All functions that a plugin may import.
pub(in super::super) struct Imports {
    linker: Linker<Guest>,
    /// The interface and the name of each function.
    names: HashSet<(String, String)>,
}

impl Imports {
    pub(in super::super) fn new(engine: &Engine) -> Result<Imports> {
        let mut imports = Imports {
            linker: Linker::new(engine),
            names: HashSet::new(),
        };
        for (name, _, add) in capability::CAPABILITIES {
            add(&mut Interface {
                all: &mut imports,
                module: names::interface(name),
            })?;
        }
        for hook in Hook::ALL {
            if let Some(resource) = own::resource(hook) {
                imports.add_resource(hook, resource)?;
            }
        }
        Ok(imports)
    }

    /// Adds the functions for handles to the resource that a hook exports.
    fn add_resource(&mut self, hook: Hook, resource: &str) -> Result<()> {
        let mut own = Interface {
            module: names::own_interface(hook),
            all: self,
        };
        own.func(
            &format!("[resource-new]{resource}"),
            move |mut caller: Caller<'_>, number: u32| own::make(&mut caller, hook, number),
        )?
        .func(
            &format!("[resource-rep]{resource}"),
            move |caller: Caller<'_>, handle: u32| own::number(&caller, hook, handle),
        )?
        .func(
            &format!("[resource-drop]{resource}"),
            move |mut caller: Caller<'_>, handle: u32| own::drop(&mut caller, hook, handle),
        )?;
        Ok(())
    }

    /// Whether an interface has a function of this name.
    pub(super) fn has(&self, interface: &str, name: &str) -> bool {
        self.names.contains(&(interface.to_owned(), name.to_owned()))
    }

    /// Links a module with its imports.
    pub(in super::super) fn link(&self, module: &Module) -> Result<InstancePre<Guest>> {
        self.linker.instantiate_pre(module)
    }
}
