//! Asks for a user name and a password (RFC 7617).
//!
//! | key | | default |
//! |---|---|---|
//! | `users` | a table of users: a name, and the SHA-256 of `NAME:PASSWORD` in hexadecimal digits | required |
//! | `realm` | what the browser says it is for | `"Restricted"` |
//! | `forward` | where the backend is told the user's name | `"X-Remote-User"` |
//! | `failures_per_minute` | after so many wrong passwords a client's network has to wait | 10 |
//!
//! Make a password with `openssl rand -base64 18`, and its line with `printf %s NAME:PASSWORD | sha256sum`.
//! Passwords have to be random ones: a hook runs on the thread that serves all requests, so it cannot use a
//! slow hash, and only such a hash protects passwords that people invent. The name in the hash is its salt.
//! The backend does not see the password.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pace_plugin::{
    Full, HeaderName, HeaderValue, Key, Plugin, Reply, Request, RequestFilter, Verdict, Window,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    users: BTreeMap<String, String>,
    realm: Option<HeaderValue>,
    forward: Option<HeaderName>,
    failures_per_minute: Option<NonZeroU32>,
}

struct BasicAuth {
    /// The hashes of `NAME:PASSWORD`.
    hashes: Vec<[u8; 32]>,
    challenge: String,
    forward: HeaderName,
    failures: Window,
    allowed_failures: u32,
}

/// The hash of one user.
fn hash((name, text): (&String, &String)) -> Result<[u8; 32], String> {
    // RFC 7617, section 2: a colon ends the name.
    if name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(format!(
            "users.{name:?}: a name has neither a colon nor control characters"
        ));
    }
    let mut bytes = [0; 32];
    match base16ct::mixed::decode(text, &mut bytes) {
        Ok(decoded) if decoded.len() == 32 => Ok(bytes),
        _ => Err(format!(
            "users.{name}: expected 64 hexadecimal digits, as `printf %s {name}:PASSWORD | sha256sum` prints"
        )),
    }
}

impl Plugin for BasicAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if config.users.is_empty() {
            return Err("users: at least one is needed, or nobody is let in".into());
        }
        let realm = config
            .realm
            .unwrap_or_else(|| HeaderValue::from_static("Restricted"));
        let realm = realm.replace('\\', r"\\").replace('"', r#"\""#);
        let allowed_failures = config.failures_per_minute.map_or(10, NonZeroU32::get);
        Ok(Self {
            hashes: config.users.iter().map(hash).collect::<Result<_, _>>()?,
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            forward: config
                .forward
                .unwrap_or_else(|| HeaderName::from_static("X-Remote-User")),
            failures: Window::open("failures", allowed_failures, Duration::from_secs(60))?,
            allowed_failures,
        })
    }
}

/// The client's network: a client with one IPv6 address has a /64 of them (RFC 6177).
const CLIENT: Key<'_> = Key::ClientNetwork { ipv4: 32, ipv6: 64 };

impl BasicAuth {
    /// Whether `NAME:PASSWORD` is right. All hashes are compared, each in constant time.
    fn knows(&self, login: &[u8]) -> bool {
        let hash = Sha256::digest(login);
        let fits = |known: &&[u8; 32]| bool::from(known.ct_eq(hash.as_slice()));
        self.hashes.iter().filter(fits).count() > 0
    }

    /// Returns `NAME:PASSWORD`, or the answer to a client that is not admitted.
    fn admit(&self, request: &Request) -> Result<Vec<u8>, Reply> {
        let challenge = || Reply::new(401).header("WWW-Authenticate", self.challenge.as_str());
        if request.header("authorization").is_none() {
            return Err(challenge().body("Log in, please.\n"));
        }
        // The check comes before the password's: a client that guesses must not learn that a guess was right.
        if self.failures.count(CLIENT) >= self.allowed_failures {
            self.failures.hit(CLIENT).map_err(too_many)?;
        }
        let base64 = request.credentials("Basic");
        let login = base64.and_then(|base64| BASE64_STANDARD.decode(base64).ok());
        match login.filter(|login| self.knows(login)) {
            Some(login) => Ok(login),
            None => Err(match self.failures.hit(CLIENT) {
                Ok(_) => challenge().body("Wrong name or password.\n"),
                Err(full) => too_many(full),
            }),
        }
    }
}

fn too_many(full: Full) -> Reply {
    Reply::new(429)
        .header("Retry-After", full.retry_after().to_string())
        .body("Too many wrong passwords.\n")
}

impl RequestFilter for BasicAuth {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let login = match self.admit(request) {
            Ok(login) => login,
            Err(reply) => return reply.into(),
        };
        let name = login.split(|&byte| byte == b':').next().unwrap_or_default();
        let edited = request.set_header(&self.forward, name);
        match edited.and(request.remove_header("authorization")) {
            Ok(_) => Verdict::Next,
            // The name is known; what is left is a message that is too large.
            Err(_) => Reply::new(500).into(),
        }
    }
}

pace_plugin::export!(BasicAuth: RequestFilter);
