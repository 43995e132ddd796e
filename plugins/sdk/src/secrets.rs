//! Secrets by name: keys that the operator grants to the plugin, and that the plugin uses without seeing them.
//!
//! The operator's `secrets` of the plugin say where each comes from. No function here returns one: a plugin that fails, or
//! whose author is careless, cannot lose a key that it never had. A secret over a body is
//! [`Content::hmac`](crate::Content::hmac).
//!
//! ```no_run
//! use pace_plugin::{Hash, secrets};
//!
//! fn is_signed(data: &[u8], signature: &[u8]) -> bool {
//!     secrets::verify_hmac(Hash::Sha256, "partner", data, signature) == Ok(true)
//! }
//! ```

use std::fmt;

use crate::Hash;
use crate::bindings::imports::pace::plugin::secrets as host;

/// Whether there is a secret of this name. Ask in [`configure`](crate::Plugin::configure) for every name that the
/// configuration has, so that one which is missing is found before the first request.
///
/// ```no_run
/// fn configure(name: &str) -> Result<(), String> {
///     match pace_plugin::secrets::has(name) {
///         true => Ok(()),
///         false => Err(format!("`secrets` of this plugin must have {name:?}")),
///     }
/// }
/// ```
pub fn has(name: &str) -> bool {
    host::has(name)
}

/// The HMAC (RFC 2104) of these bytes.
///
/// # Errors
///
/// See [`SecretError`].
///
/// ```no_run
/// # use pace_plugin::{Hash, secrets};
/// # fn example(data: &[u8]) -> Result<Vec<u8>, secrets::SecretError> {
/// secrets::hmac(Hash::Sha256, "partner", data)
/// # }
/// ```
pub fn hmac(hash: Hash, secret: &str, data: impl AsRef<[u8]>) -> Result<Vec<u8>, SecretError> {
    Ok(host::hmac(hash.into(), secret, data.as_ref())?)
}

/// Whether `candidate` is the HMAC of `data`. Takes as long whatever is wrong with it.
///
/// # Errors
///
/// See [`SecretError`].
///
/// ```no_run
/// # use pace_plugin::{Hash, secrets};
/// # fn example(data: &[u8], signature: &[u8]) -> Result<bool, secrets::SecretError> {
/// secrets::verify_hmac(Hash::Sha256, "partner", data, signature)
/// # }
/// ```
pub fn verify_hmac(
    hash: Hash,
    secret: &str,
    data: impl AsRef<[u8]>,
    candidate: impl AsRef<[u8]>,
) -> Result<bool, SecretError> {
    Ok(host::verify_hmac(
        hash.into(),
        secret,
        data.as_ref(),
        candidate.as_ref(),
    )?)
}

/// Whether `candidate` is the secret itself: a password, an API key. Takes as long whatever is wrong with it, its length
/// included.
///
/// # Errors
///
/// See [`SecretError`].
///
/// ```no_run
/// # use pace_plugin::{Request, secrets};
/// fn is_allowed(request: &Request) -> bool {
///     let key = request.header("x-api-key").unwrap_or_default();
///     secrets::matches("api-key", key) == Ok(true)
/// }
/// ```
pub fn matches(secret: &str, candidate: impl AsRef<[u8]>) -> Result<bool, SecretError> {
    Ok(host::matches(secret, candidate.as_ref())?)
}

/// The reason why a secret could not be used.
///
/// ```
/// use pace_plugin::secrets::SecretError;
///
/// assert!(SecretError::NotGranted.to_string().contains("`secrets`"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// The plugin's `secrets` have no such name.
    NotGranted,
    /// It is granted, and could not be read where it is kept.
    NotAvailable,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => {
                "the operator has not granted this secret: have it named in `secrets` of the plugin"
            }
            Self::NotAvailable => "the secret could not be read: look where the operator keeps it",
        })
    }
}

impl std::error::Error for SecretError {}

impl From<host::SecretError> for SecretError {
    fn from(error: host::SecretError) -> Self {
        match error {
            host::SecretError::NotGranted => Self::NotGranted,
            host::SecretError::NotAvailable => Self::NotAvailable,
        }
    }
}
