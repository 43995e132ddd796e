//! `secrets`: keys that the operator grants to a plugin, which uses them without seeing them.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::secrets::{self, Hash as WasmHash, SecretError};
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_result, bytes, called, place, split, text_if_short,
};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::metered::Metered;
use pace_content::hash::{self, Digest, Hash};

struct View<'a>(&'a Generation);

struct Secrets;

impl HasData for Secrets {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    secrets::add_to_linker::<_, Secrets>(linker, |guest| {
        Metered::new(&mut guest.meter, View(&guest.generation))
    })
}

pub(super) fn add_directly(secrets: &mut Interface<'_>) -> Result<()> {
    secrets
        .func("has", |mut caller: Caller<'_>, name: u32, length: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let name = text_if_short(memory, &mut guest.meter, name, length)?;
            Ok(u32::from(name.is_some_and(|name| has(&guest.generation, name))))
        })?
        .func(
            "hmac",
            |mut caller: Caller<'_>,
             hash: u32,
             name: u32,
             name_length: u32,
             data: u32,
             length: u32,
             out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let hash = self::hash(hash)?;
                let name = text_if_short(memory, &mut guest.meter, name, name_length)?;
                let data = bytes(memory, &mut guest.meter, data, length)?;
                let digest = match name {
                    Some(name) => hmac(&guest.generation, hash, name, data),
                    None => Err(SecretError::NotGranted),
                };
                let [case, _, _, _, error, ..] = place::<4, 12>(memory, out)?;
                *case = u8::from(digest.is_err());
                match digest {
                    Ok(digest) => answer_bytes(&mut caller, out + 4, digest.as_ref()),
                    Err(refused) => {
                        *error = refused as u8;
                        Ok(())
                    }
                }
            },
        )?
        .func(
            "verify-hmac",
            |mut caller: Caller<'_>,
             hash: u32,
             name: u32,
             name_length: u32,
             data: u32,
             length: u32,
             candidate: u32,
             candidate_length: u32,
             out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let hash = self::hash(hash)?;
                let name = text_if_short(memory, &mut guest.meter, name, name_length)?;
                let data = bytes(memory, &mut guest.meter, data, length)?;
                let candidate = bytes(memory, &mut guest.meter, candidate, candidate_length)?;
                let verified = match name {
                    Some(name) => verify_hmac(&guest.generation, hash, name, data, candidate),
                    None => Err(SecretError::NotGranted),
                };
                answer_verified(memory, out, verified)
            },
        )?
        .func(
            "matches",
            |mut caller: Caller<'_>, name: u32, name_length: u32, candidate: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let name = text_if_short(memory, &mut guest.meter, name, name_length)?;
                let candidate = bytes(memory, &mut guest.meter, candidate, length)?;
                let matches = match name {
                    Some(name) => matches(&guest.generation, name, candidate),
                    None => Err(SecretError::NotGranted),
                };
                answer_verified(memory, out, matches)
            },
        )?;
    Ok(())
}

/// Answers with a `result` of a `bool` and a `secret-error`.
fn answer_verified(
    memory: &mut [u8],
    out: u32,
    verified: std::result::Result<bool, SecretError>,
) -> Result<()> {
    let answer = verified.map(|is_right| Some(u8::from(is_right)));
    answer_result(memory, out, answer.map_err(|error| error as u8))
}

impl secrets::Host for Metered<'_, View<'_>> {
    fn has(&mut self, name: String) -> Result<bool> {
        Ok(has(self.given(name.len())?.0, &name))
    }

    fn hmac(
        &mut self,
        hash: WasmHash,
        secret: String,
        data: Vec<u8>,
    ) -> Result<std::result::Result<Vec<u8>, SecretError>> {
        let view = self.given(secret.len() + data.len())?;
        let digest = hmac(view.0, hash.into(), &secret, &data);
        Ok(digest.map(|digest| digest.as_ref().to_vec()))
    }

    fn verify_hmac(
        &mut self,
        hash: WasmHash,
        secret: String,
        data: Vec<u8>,
        candidate: Vec<u8>,
    ) -> Result<std::result::Result<bool, SecretError>> {
        let view = self.given(secret.len() + data.len() + candidate.len())?;
        Ok(verify_hmac(view.0, hash.into(), &secret, &data, &candidate))
    }

    fn matches(
        &mut self,
        secret: String,
        candidate: Vec<u8>,
    ) -> Result<std::result::Result<bool, SecretError>> {
        let view = self.given(secret.len() + candidate.len())?;
        Ok(matches(view.0, &secret, &candidate))
    }
}

fn has(generation: &Generation, name: &str) -> bool {
    generation.secrets.find(name).is_some()
}

fn hmac(
    generation: &Generation,
    hash: Hash,
    name: &str,
    data: &[u8],
) -> std::result::Result<Digest, SecretError> {
    with_secret(generation, name, |secret| hash.hmac(secret, &[data]))
}

fn verify_hmac(
    generation: &Generation,
    hash: Hash,
    name: &str,
    data: &[u8],
    candidate: &[u8],
) -> std::result::Result<bool, SecretError> {
    with_secret(generation, name, |secret| {
        hash.verify_hmac(secret, &[data], candidate)
    })
}

fn matches(generation: &Generation, name: &str, candidate: &[u8]) -> std::result::Result<bool, SecretError> {
    with_secret(generation, name, |secret| hash::matches(secret, candidate))
}

/// Runs with the secret that a generation has been granted under a name.
pub(super) fn with_secret<T>(
    generation: &Generation,
    name: &str,
    run: impl FnOnce(&[u8]) -> T,
) -> std::result::Result<T, SecretError> {
    let secret = generation.secrets.find(name);
    let secret = secret.ok_or(SecretError::NotGranted)?;
    Ok(run(secret.expose().as_bytes()))
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
