//! The code of a plugin, wherever the command line says it is.

use std::path::Path;

use crate::builtin;
use crate::config::{BUILTINS, Sha256};
use crate::plugin::{self, LoadError};

/// A plugin's code, and where it is from.
pub(super) struct Wasm {
    /// As it was named.
    pub(super) name: String,
    /// What the file has.
    pub(super) bytes: Vec<u8>,
    /// The digest of that.
    pub(super) sha256: Sha256,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(super) enum WasmError {
    /// It could not be read.
    #[error(transparent)]
    Unreadable(#[from] LoadError),
    /// No plugin of the binary.
    #[error("there is no plugin `builtin:{name}`; there are {builtins}", builtins = builtins())]
    NoBuiltin {
        /// What was asked for.
        name: String,
    },
}

impl Wasm {
    /// Reads `builtin:NAME` or a file.
    ///
    /// # Errors
    ///
    /// There is no such file or plugin, or it is larger than any plugin.
    pub(super) fn read(name: &str) -> Result<Wasm, WasmError> {
        let bytes = match name.strip_prefix("builtin:") {
            Some(builtin) => builtin::component(builtin)
                .ok_or_else(|| WasmError::NoBuiltin {
                    name: builtin.to_owned(),
                })?
                .to_vec(),
            None => plugin::read(Path::new(name))?,
        };
        Ok(Wasm {
            name: name.to_owned(),
            sha256: Sha256::of(&bytes),
            bytes,
        })
    }
}

fn builtins() -> String {
    BUILTINS.map(|name| format!("builtin:{name}")).join(", ")
}
