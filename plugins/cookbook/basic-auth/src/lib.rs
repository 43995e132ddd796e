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
//! Passwords have to be such random ones: a hook runs on the thread that serves everybody, so it cannot use a
//! hash that is slow on purpose, and only such a hash protects what people think up. The name in the hash is
//! its salt. The backend does not see the password.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pace_plugin::{HeaderName, HeaderValue, Key, Plugin, Reply, Request, RequestFilter, Verdict, Window};
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

/// Hashes of `NAME:PASSWORD`.
struct Users(Vec<[u8; 32]>);

impl Users {
    fn new(users: &BTreeMap<String, String>) -> Result<Self, String> {
        if users.is_empty() {
            return Err("users: at least one is needed, or nobody is let in".into());
        }
        let hash = |(name, hash): (&String, &String)| {
            // RFC 7617, section 2: a colon ends the name.
            if name.contains(|c: char| c == ':' || c.is_control()) {
                return Err(format!(
                    "users.{name:?}: a name has neither a colon nor control characters"
                ));
            }
            parse_hash(hash).ok_or_else(|| {
                format!("users.{name}: expected 64 hexadecimal digits, as `printf %s {name}:PASSWORD | sha256sum` prints")
            })
        };
        users.iter().map(hash).collect::<Result<_, _>>().map(Self)
    }

    /// The user's name, if `NAME:PASSWORD` is right. All are compared, each in constant time.
    fn check<'a>(&self, credentials: &'a [u8]) -> Option<&'a [u8]> {
        let hash = Sha256::digest(credentials);
        let known = self
            .0
            .iter()
            .filter(|known| bool::from(known.ct_eq(hash.as_slice())))
            .count();
        let name = credentials.split(|&byte| byte == b':').next()?;
        (known > 0).then_some(name)
    }
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let decoded = base16ct::mixed::decode(text, &mut bytes).ok()?;
    (decoded.len() == 32).then_some(bytes)
}

/// `NAME:PASSWORD` of an `Authorization` header.
fn credentials(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    let encoded = scheme
        .eq_ignore_ascii_case(b"Basic ")
        .then_some(rest.trim_ascii())?;
    BASE64_STANDARD.decode(encoded).ok()
}

struct BasicAuth {
    users: Users,
    challenge: String,
    forward: String,
    failures: Window,
    allowed_failures: u32,
}

impl Plugin for BasicAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let realm = config
            .realm
            .map_or("Restricted".into(), |realm| realm.to_string());
        let allowed_failures = config.failures_per_minute.map_or(10, NonZeroU32::get);
        Ok(Self {
            users: Users::new(&config.users)?,
            challenge: format!(
                "Basic realm=\"{}\", charset=\"UTF-8\"",
                realm.replace('\\', r"\\").replace('"', r#"\""#)
            ),
            forward: config
                .forward
                .map_or("X-Remote-User".into(), |name| name.to_string()),
            failures: Window::open("failures", allowed_failures, Duration::from_secs(60))?,
            allowed_failures,
        })
    }
}

/// One who has an IPv6 address has a /64 of them (RFC 6177).
const CLIENT: Key<'_> = Key::ClientNetwork { ipv4: 32, ipv6: 64 };

impl BasicAuth {
    /// The user's name, or what to answer.
    fn admit(&self, authorization: Option<Vec<u8>>) -> Result<Vec<u8>, Reply> {
        let challenge = || Reply::new(401).header("WWW-Authenticate", self.challenge.as_str());
        let authorization = authorization.ok_or_else(|| challenge().body("Log in, please.\n"))?;
        // Before the password is looked at: who guesses must not learn that a guess was right.
        if self.failures.count(CLIENT) >= self.allowed_failures {
            self.failures.hit(CLIENT).map_err(|full| too_many(full.wait))?;
        }
        let credentials = credentials(&authorization).unwrap_or_default();
        let name = self.users.check(&credentials).map(<[u8]>::to_vec);
        name.ok_or_else(|| match self.failures.hit(CLIENT) {
            Ok(_) => challenge().body("Wrong name or password.\n"),
            Err(full) => too_many(full.wait),
        })
    }
}

fn too_many(wait: Duration) -> Reply {
    let seconds = wait.as_millis().div_ceil(1000).to_string();
    Reply::new(429)
        .header("Retry-After", seconds)
        .body("Too many wrong passwords.\n")
}

impl RequestFilter for BasicAuth {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let admitted = self.admit(request.header("authorization"));
        let edited = |name: Vec<u8>| {
            request
                .set_header(&self.forward, name)
                .and(request.remove_header("authorization"))
        };
        match admitted.map(edited) {
            Ok(Ok(_)) => Verdict::Next,
            // The name is as the client sent it, but known; what is left is a message that is too large.
            Ok(Err(_)) => Reply::new(500).into(),
            Err(reply) => reply.into(),
        }
    }
}

pace_plugin::export!(BasicAuth: RequestFilter);

#[cfg(test)]
mod tests;
