//! Admits clients with a valid JSON Web Token (RFC 7519) as a bearer token (RFC 6750).
//!
//! | key | | default |
//! |---|---|---|
//! | `algorithm` | `"HS256"`, `"RS256"` or `"ES256"`; a token that names another one is refused | required |
//! | `secret` | for HS256: at least 32 bytes | |
//! | `public_key` | for RS256 (2048 to 4096 bits) and ES256: the key in PEM, `BEGIN PUBLIC KEY` | |
//! | `issuer` | what `iss` must be | anything |
//! | `audience` | what `aud` must be or contain; without it, a token that has an `aud` is refused | none |
//! | `leeway_seconds` | how far the clocks may be apart, 0 to 300 | 60 |
//! | `forward` | a table: a claim, and the header in which the backend is told it | none |
//!
//! A token must have `exp`. The backend sees the token, too, and gets the headers of `forward` only from this
//! plugin: those that a client has sent are dropped.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use p256::{ecdsa, ecdsa::signature::Verifier, pkcs8::DecodePublicKey};
use pace_plugin::{HeaderName, Integer, Plugin, Reply, Request, RequestFilter, Verdict, clock};
use rsa::{pkcs1v15, sha2::Sha256, traits::PublicKeyParts};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    algorithm: String,
    secret: Option<String>,
    public_key: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway_seconds: Option<Integer<0, 300>>,
    #[serde(default)]
    forward: BTreeMap<String, HeaderName>,
}

/// Whether a message has this signature.
type Verify = Box<dyn Fn(&[u8], &[u8]) -> bool>;

struct Jwt(Config, Verify);

impl Plugin for Jwt {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let verify = verifier(&config).map_err(|error| format!("{error:#}"))?;
        Ok(Self(config, verify))
    }
}

/// Makes the verifier of signatures, for the one algorithm that the configuration names.
fn verifier(config: &Config) -> Result<Verify> {
    let algorithm = config.algorithm.as_str();
    Ok(match (algorithm, &config.secret, &config.public_key) {
        // RFC 7518, section 3.2: a secret is at least as long as the hash.
        ("HS256", Some(secret), None) => {
            let length = secret.len();
            ensure!(length >= 32, "secret: expected at least 32 bytes, found {length}");
            let hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
            Box::new(move |of, signature| hmac.clone().chain_update(of).verify_slice(signature).is_ok())
        }
        // RFC 7518, section 3.3: at least 2048 bits. The other bound is one of time.
        ("RS256", None, Some(pem)) => {
            let key = rsa::PublicKey::from_public_key_pem(pem).context("public_key")?;
            let bits = key.size() * 8;
            if !(2048..=4096).contains(&bits) {
                bail!("public_key: expected 2048 to 4096 bits, found {bits}");
            }
            verify(pkcs1v15::VerifyingKey::<Sha256>::new(key))
        }
        ("ES256", None, Some(pem)) => {
            let key = ecdsa::VerifyingKey::from_public_key_pem(pem);
            verify::<ecdsa::Signature>(key.context("public_key: no key of the curve P-256")?)
        }
        _ => bail!("algorithm: HS256 has a secret, RS256 and ES256 a public_key"),
    })
}

fn verify<S: for<'a> TryFrom<&'a [u8]>>(key: impl Verifier<S> + 'static) -> Verify {
    Box::new(move |of, signature| S::try_from(signature).is_ok_and(|s| key.verify(of, &s).is_ok()))
}

fn json(base64: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(base64).ok()?).ok()
}

impl Jwt {
    /// Checks a token, and tells the backend its claims; otherwise returns why the token is not valid.
    fn admit(&self, token: &str, request: &mut Request) -> Result<()> {
        let Self(config, verify) = self;
        let (message, signature) = token.rsplit_once('.').context("not a signed token")?;
        let (header, claims) = message.split_once('.').context("not a signed token")?;
        let header = json(header).context("its header cannot be read")?;
        ensure!(header["alg"] == config.algorithm, "signed with another algorithm");
        // RFC 7515, section 4.1.11: critical extensions must be understood.
        ensure!(header.get("crit").is_none(), "it has a critical extension");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        ensure!(verify(message.as_bytes(), &signature), "its signature is wrong");
        // RFC 7519, section 4.1.
        let claims = json(claims).context("its claims cannot be read")?;
        let now = clock::since_1970().as_secs_f64();
        let leeway = config.leeway_seconds.map_or(60, Integer::get) as f64;
        let end = claims["exp"].as_f64().context("it never expires")?;
        ensure!(now < end + leeway, "it has expired");
        let begin = claims.get("nbf").map_or(Some(0.0), Value::as_f64);
        let begin = begin.context("a date in it is no number")?;
        ensure!(now >= begin - leeway, "it is not valid yet");
        let (expected, found) = (config.issuer.as_deref(), claims["iss"].as_str());
        ensure!(expected.is_none() || found == expected, "it has another issuer");
        let is_meant = match (&config.audience, claims.get("aud")) {
            (Some(expected), Some(Value::Array(all))) => all.iter().any(|one| one == expected),
            (Some(expected), Some(one)) => one == expected,
            (expected, found) => expected.is_none() && found.is_none(),
        };
        ensure!(is_meant, "it is for another audience");
        for (claim, header) in &config.forward {
            let edited = match &claims[claim] {
                Value::String(text) => request.set_header(header, text),
                value @ (Value::Number(_) | Value::Bool(_)) => request.set_header(header, value.to_string()),
                // A list or a table has no form in a header.
                _ => request.remove_header(header).map(drop),
            };
            edited.context("a claim cannot be sent in a header")?;
        }
        Ok(())
    }
}

impl RequestFilter for Jwt {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        // RFC 6750, section 3.1: a client that has sent no token gets no error.
        let mut challenge = "Bearer".to_owned();
        if let Some(token) = request.credentials("Bearer") {
            match self.admit(str::from_utf8(&token).unwrap_or_default(), request) {
                Ok(()) => return Verdict::Next,
                Err(why) => challenge += &format!(" error=\"invalid_token\", error_description=\"{why}\""),
            }
        }
        let reply = Reply::new(401).header("WWW-Authenticate", challenge);
        reply.body("This needs a valid token.\n").into()
    }
}

pace_plugin::export!(Jwt: RequestFilter);
