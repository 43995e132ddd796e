//! `secrets`: keys that the operator grants to a plugin.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::secrets::{self, Hash as WasmHash, SecretError};
use super::super::generation::Generation;
use super::super::guest::Guest;
use pace_content::hash::Hash;

/// The interface has types and no functions.
struct Types;

impl HasData for Types {
    type Data<'a> = Types;
}

impl secrets::Host for Types {}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    secrets::add_to_linker::<_, Types>(linker, |_| Types)
}

/// Runs with the secret that a generation has been granted under a name. No configuration can grant one.
pub(super) fn with_secret<T>(
    _generation: &Generation,
    _name: &str,
    _run: impl FnOnce(&[u8]) -> T,
) -> std::result::Result<T, SecretError> {
    Err(SecretError::NotGranted)
}

impl From<WasmHash> for Hash {
    fn from(hash: WasmHash) -> Hash {
        match hash {
            WasmHash::Sha1 => Hash::Sha1,
            WasmHash::Sha256 => Hash::Sha256,
            WasmHash::Sha384 => Hash::Sha384,
            WasmHash::Sha512 => Hash::Sha512,
        }
    }
}

/// The hash function with this case.
pub(super) fn hash(case: u32) -> Result<Hash> {
    Ok(match case {
        0 => Hash::Sha1,
        1 => Hash::Sha256,
        2 => Hash::Sha384,
        3 => Hash::Sha512,
        case => bail!("there is no hash with the case {case}"),
    })
}
