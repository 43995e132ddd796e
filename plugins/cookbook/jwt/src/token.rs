//! Whether a token is valid. There is one algorithm, the configuration's: a token cannot choose another.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::DecodePublicKey;
use rsa::pkcs1v15;
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What verifies signatures.
pub(crate) enum Key {
    Hs256(Hmac<Sha256>),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
    Es256(ecdsa::VerifyingKey),
}

impl Key {
    /// RFC 7518, section 3.2: a key has at least as many bits as the hash.
    pub(crate) fn hs256(secret: &[u8]) -> Result<Self, String> {
        match Hmac::new_from_slice(secret) {
            Ok(hmac) if secret.len() >= 32 => Ok(Self::Hs256(hmac)),
            _ => Err(format!(
                "secret: expected at least 32 bytes, found {}",
                secret.len()
            )),
        }
    }

    /// RFC 7518, section 3.3: at least 2048 bits. The other bound is one of time.
    pub(crate) fn rs256(pem: &str) -> Result<Self, String> {
        let key = rsa::PublicKey::from_public_key_pem(pem).map_err(|error| format!("public_key: {error}"))?;
        match key.size() * 8 {
            2048..=4096 => Ok(Self::Rs256(pkcs1v15::VerifyingKey::new(key))),
            bits => Err(format!("public_key: expected 2048 to 4096 bits, found {bits}")),
        }
    }

    pub(crate) fn es256(pem: &str) -> Result<Self, String> {
        let key = ecdsa::VerifyingKey::from_public_key_pem(pem);
        key.map(Self::Es256)
            .map_err(|error| format!("public_key: no key of the curve P-256: {error}"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // In constant time.
            Self::Hs256(hmac) => hmac.clone().chain_update(message).verify_slice(signature).is_ok(),
            Self::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Es256(key) => ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// What a token must have.
pub(crate) struct Checks {
    pub(crate) key: Key,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    /// In seconds.
    pub(crate) leeway: u64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<Value>,
}

impl Checks {
    /// The claims of a token that is valid at this time, in seconds since 1970; or why it is not.
    pub(crate) fn claims(&self, token: &str, now: u64) -> Result<Map<String, Value>, &'static str> {
        let (message, signature) = token.rsplit_once('.').ok_or("not a signed token")?;
        let (header, claims) = message.split_once('.').ok_or("not a signed token")?;
        let header: Header = decode(header)
            .and_then(parse)
            .ok_or("its header cannot be read")?;
        if header.alg != self.key.algorithm() {
            return Err("signed with another algorithm");
        }
        // RFC 7515, section 4.1.11: what is critical must be understood.
        if header.crit.is_some() {
            return Err("it has a critical extension");
        }
        let signature = decode(signature).ok_or("its signature cannot be read")?;
        if !self.key.verifies(message.as_bytes(), &signature) {
            return Err("its signature is wrong");
        }
        let claims: Map<String, Value> = decode(claims)
            .and_then(parse)
            .ok_or("its claims cannot be read")?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    /// RFC 7519, section 4.1.
    fn check(&self, claims: &Map<String, Value>, now: u64) -> Result<(), &'static str> {
        let date = |name| {
            claims
                .get(name)
                .map(|date| date.as_f64().ok_or("a date in it is no number"))
                .transpose()
        };
        // Exact for the next 285 million years.
        let (now, leeway) = (now as f64, self.leeway as f64);
        if now >= date("exp")?.ok_or("it never expires")? + leeway {
            return Err("it has expired");
        }
        if date("nbf")?.is_some_and(|begin| now < begin - leeway) {
            return Err("it is not valid yet");
        }
        if self.issuer.is_some() && claims.get("iss").and_then(Value::as_str) != self.issuer.as_deref() {
            return Err("it has another issuer");
        }
        let is_meant = match (&self.audience, claims.get("aud")) {
            (None, None) => true,
            (Some(expected), Some(Value::String(found))) => expected == found,
            (Some(expected), Some(Value::Array(all))) => all.iter().any(|one| one == expected.as_str()),
            _ => false,
        };
        is_meant.then_some(()).ok_or("it is for another audience")
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

fn parse<T: serde::de::DeserializeOwned>(json: Vec<u8>) -> Option<T> {
    serde_json::from_slice(&json).ok()
}
