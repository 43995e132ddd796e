//! The compiled code of a plugin.

use log::debug;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;
use wasmtime::{Engine, Module, Result, ensure, format_err};

use super::super::direct;
use super::super::load;
use crate::builtin;
use pace_base::escape::Shown;

/// Machine code that has not been linked yet.
pub(in super::super) struct Compiled {
    /// A component with the plugin's imports and exports. It has the code too, unless only `module` has it.
    pub(in super::super) shape: Component,
    /// The code of a plugin that runs without the component around it.
    pub(in super::super) module: Option<Module>,
}

/// The reason why the compiler does not take a file.
#[derive(Debug, Deserialize, Serialize, thiserror::Error)]
pub enum CompileError {
    /// The file is empty, or something else than WebAssembly.
    #[error("not WebAssembly: {0}")]
    NotWasm(Shown),
    /// The file is a core module without a component type, so not a plugin.
    #[error(
        "a core WebAssembly module without the component type that `wit-bindgen` or the crate `pace-plugin` \
         embeds: it was not built as a plugin, or the section was stripped"
    )]
    NoComponentType,
    /// The file is a core module of which no component can be made.
    #[error("the core module cannot be made a component: {0}")]
    NotComponentizable(Shown),
    /// The file is broken or truncated WebAssembly, or uses a feature that Pace does not have.
    #[error("invalid WebAssembly: {0}")]
    Invalid(Shown),
}

impl From<wasmtime::Error> for CompileError {
    fn from(error: wasmtime::Error) -> CompileError {
        CompileError::Invalid(Shown::new(format_args!("{error:#}")))
    }
}

impl Compiled {
    /// Compiles a component, or a core module that carries its component type.
    pub(in super::super) fn new(
        engine: &Engine,
        imports: &direct::Imports,
        bytes: &[u8],
    ) -> std::result::Result<Compiled, CompileError> {
        let component = load::component(bytes)?;
        Ok(match direct::extract(&component, imports) {
            None => Compiled {
                shape: Component::new(engine, &component)?,
                module: None,
            },
            Some(extracted) => Compiled {
                shape: Component::new(engine, &extracted.shape)?,
                module: Some(module(engine, &extracted.module)?),
            },
        })
    }

    /// Writes the code as bytes, for a process that runs the same program: the length of the shape in eight bytes, the
    /// shape, and the module if there is one.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let shape = self.shape.serialize()?;
        let mut bytes = u64::try_from(shape.len())?.to_le_bytes().to_vec();
        bytes.extend_from_slice(&shape);
        if let Some(module) = &self.module {
            bytes.extend_from_slice(&module.serialize()?);
        }
        Ok(bytes)
    }

    /// Reads code back from bytes.
    ///
    /// # Errors
    ///
    /// The bytes end too soon, or were made by another version or for other settings.
    ///
    /// # Safety
    ///
    /// The bytes must come from [`to_bytes`](Compiled::to_bytes), unchanged.
    pub(super) unsafe fn from_bytes(engine: &Engine, bytes: &[u8]) -> Result<Compiled> {
        let (length, code) = bytes
            .split_first_chunk()
            .ok_or_else(|| format_err!("it ends within its first eight bytes"))?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        ensure!(length <= code.len(), "it ends within the first of its two parts");
        let (shape, module) = code.split_at(length);
        // SAFETY: by this function's own condition the first part is what `Component::serialize` returned.
        let shape = unsafe { Component::deserialize(engine, shape)? };
        let module = match module {
            [] => None,
            // SAFETY: by the same condition the second part is what `Module::serialize` returned.
            module => Some(unsafe { Module::deserialize(engine, module)? }),
        };
        Ok(Compiled { shape, module })
    }
}

/// Compiles a module, unless it was compiled when this program was built.
fn module(engine: &Engine, module: &[u8]) -> Result<Module> {
    match compiled_ahead(engine, module) {
        Some(module) => Ok(module),
        None => Module::new(engine, module),
    }
}

/// The code of a default plugin that was compiled when this program was built; `None` for any other module, and if this
/// engine has other settings, as engines for pools of memories do, or this processor is of another kind.
fn compiled_ahead(engine: &Engine, module: &[u8]) -> Option<Module> {
    let code = builtin::code(module)?;
    // SAFETY: the build script of this very program had the code from `Engine::precompile_module`, for this very module,
    // and it has been a constant since, which can be changed only by changing this program.
    let loaded = unsafe { Module::deserialize(engine, code) };
    loaded
        .inspect_err(|error| debug!(target: "pace::plugin", "a default plugin is compiled again: {error:#}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::ahead;
    use super::super::super::engine::{Allocation, Runtime};
    use super::*;
    use pace_config::{BUILTINS, Isolation, Limits};

    fn module_of(name: &str) -> &'static [u8] {
        let component = builtin::component(name).expect("it is a default plugin");
        &component[ahead::first_module(component).expect("it has a module")]
    }

    fn engine(runtime: wasmtime::Result<Runtime>, allocation: Allocation) -> Engine {
        let runtime = runtime.expect("there is room for a compiler");
        runtime.platform(allocation).expect("there is room").engine
    }

    #[test]
    fn default_plugins_are_compiled_ahead() {
        let engine = engine(Runtime::new(None, 1), Allocation::OnDemand);
        for name in BUILTINS {
            let module = compiled_ahead(&engine, module_of(name)).expect(name);
            assert!(module.get_export("memory").is_some(), "{name}");
        }
        let changed = [module_of(BUILTINS[0]), b"\0\x02\x01a"].concat();
        assert!(compiled_ahead(&engine, &changed).is_none());
    }

    #[test]
    fn engine_with_other_settings_compiles_default_plugins_again() {
        let pool = Allocation::of(Isolation::Request, &Limits::default());
        let pooled = engine(Runtime::new(None, 1), pool);
        let counting = engine(Runtime::counting_instructions(), Allocation::OnDemand);
        for name in BUILTINS {
            for engine in [&pooled, &counting] {
                assert!(compiled_ahead(engine, module_of(name)).is_none(), "{name}");
                module(engine, module_of(name)).expect(name);
            }
        }
    }
}
