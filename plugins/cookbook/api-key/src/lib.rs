//! Admits clients with a known key, and limits how often each key is used.
//!
//! | key | | default |
//! |---|---|---|
//! | `keys` | a table of clients: a name, and the SHA-256 of the client's key in hexadecimal digits | required |
//! | `header` | where a client sends its key | `"X-Api-Key"` |
//! | `forward` | where the backend is told the client's name | `"X-Api-Client"` |
//! | `limit` | `{ requests, seconds }`: how often each key may be used in a sliding window | none |
//!
//! Make a key with `openssl rand -hex 32`, and its hash with `printf %s KEY | sha256sum`. The hashes are of
//! no use to a reader of the configuration. A fast hash is right for keys like these, which cannot be
//! guessed; it is wrong for passwords that people invent. The backend does not see the key.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use pace_plugin::{EditError, HeaderName, Key, Plugin, Reply, Request, RequestFilter, Verdict, Window};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    keys: BTreeMap<String, Hash>,
    header: Option<HeaderName>,
    forward: Option<HeaderName>,
    limit: Option<Limit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    requests: NonZeroU32,
    seconds: NonZeroU32,
}

/// The SHA-256 of a key.
#[derive(PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Hash([u8; 32]);

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        match base16ct::mixed::decode(text, &mut bytes) {
            Ok(decoded) if *decoded == *Sha256::digest("") => Err("this is the hash of an empty key"),
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => {
                Err("expected the 64 hexadecimal digits of a SHA-256, as `printf %s KEY | sha256sum` prints")
            }
        }
    }
}

struct ApiKey {
    clients: Vec<(String, Hash)>,
    header: HeaderName,
    forward: HeaderName,
    window: Option<Window>,
}

impl Plugin for ApiKey {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let clients: Vec<_> = config.keys.into_iter().collect();
        if clients.is_empty() {
            return Err("keys: at least one is needed, or nobody is let in".into());
        }
        for (at, (name, hash)) in clients.iter().enumerate() {
            if pace_plugin::header::check_value(name.as_bytes()).is_err() {
                return Err(format!(
                    "keys.{name:?}: the name must not have control characters"
                ));
            }
            if let Some((other, _)) = clients[..at].iter().find(|(_, known)| known == hash) {
                return Err(format!("keys.{name}: the same key as {other}'s"));
            }
        }
        let open = |limit: Limit| {
            let period = Duration::from_secs(limit.seconds.get().into());
            Window::open("requests", limit.requests.get(), period).map_err(|error| format!("limit: {error}"))
        };
        Ok(Self {
            clients,
            header: config
                .header
                .unwrap_or_else(|| HeaderName::from_static("X-Api-Key")),
            forward: config
                .forward
                .unwrap_or_else(|| HeaderName::from_static("X-Api-Client")),
            window: config.limit.map(open).transpose()?,
        })
    }
}

impl ApiKey {
    /// The owner of a key. All hashes are compared, each in constant time: the duration reveals nothing about
    /// a key.
    fn owner(&self, key: &[u8]) -> Option<&str> {
        let hash = Sha256::digest(key);
        let fits = |(_, known): &&(String, Hash)| bool::from(known.0.ct_eq(hash.as_slice()));
        let owners = self.clients.iter().filter(fits);
        owners.fold(None, |_, (name, _)| Some(name.as_str()))
    }

    /// Gives the backend the client's name, and not the key.
    fn introduce(&self, client: &str, request: &mut Request) -> Result<(), EditError> {
        request.set_header(&self.forward, client)?;
        request.remove_header(&self.header).map(drop)
    }
}

impl RequestFilter for ApiKey {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let key = request.header(&self.header);
        let Some(client) = key.and_then(|key| self.owner(&key)) else {
            return Reply::new(401)
                .header("WWW-Authenticate", format!("ApiKey header=\"{}\"", self.header))
                .body("This needs an API key.\n")
                .into();
        };
        let hit = self
            .window
            .as_ref()
            .map(|window| window.hit(Key::Bytes(client.as_bytes())));
        if let Some(Err(full)) = hit {
            return Reply::new(429)
                .header("Retry-After", full.retry_after().to_string())
                .body("This API key has been used too often.\n")
                .into();
        }
        match self.introduce(client, request) {
            Ok(()) => Verdict::Next,
            Err(refused) => {
                pace_plugin::error!("{}: {refused}", self.forward);
                Reply::new(500).into()
            }
        }
    }
}

pace_plugin::export!(ApiKey: RequestFilter);
