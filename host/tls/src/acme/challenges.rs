//! The answers by which an authority verifies that a name is served here.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::provider::{Version, provider};

/// The ALPN protocol by which an authority asks for its challenge (RFC 8737).
pub(crate) const TLS_ALPN: &[u8] = b"acme-tls/1";

/// The path before the token of a challenge over HTTP (RFC 8555 section 8.3).
pub const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// The answers to open challenges, shared by the code that orders certificates and the code that answers requests. A
/// lookup takes no lock; mostly no challenge is open.
#[derive(Debug, Default)]
pub struct Challenges {
    http: ArcSwap<HashMap<String, Arc<str>>>,
    tls_alpn: ArcSwap<HashMap<String, Arc<ServerConfig>>>,
}

impl Challenges {
    /// Creates an object without answers.
    pub fn new() -> Challenges {
        Challenges::default()
    }

    /// The answer for `token`, which follows [`HTTP_PATH`] in the path of a request over plain HTTP. It is sent as
    /// the body of a 200 with `Content-Type: application/octet-stream`.
    pub fn http(&self, token: &str) -> Option<Arc<str>> {
        self.http.load().get(token).cloned()
    }

    /// The configuration that answers for `name`, in lower case.
    pub(crate) fn tls_alpn(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let open = self.tls_alpn.load();
        if open.is_empty() {
            return None;
        }
        open.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Answers for `token` until the result is dropped.
    pub(super) fn open_http(self: &Arc<Self>, token: &str, answer: &str) -> Open {
        self.http.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.insert(token.to_owned(), answer.into());
            open
        });
        Open {
            challenges: self.clone(),
            key: Key::Http(token.to_owned()),
        }
    }

    /// Answers for `name` with a certificate that contains `digest`, until the result is dropped.
    pub(super) fn open_tls_alpn(self: &Arc<Self>, name: &str, digest: &[u8; 32]) -> Result<Open, String> {
        let config = Arc::new(challenge_config(name, digest)?);
        let name = name.to_ascii_lowercase();
        self.tls_alpn.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.insert(name.clone(), config.clone());
            open
        });
        Ok(Open {
            challenges: self.clone(),
            key: Key::TlsAlpn(name),
        })
    }
}

/// An answer that is given until this is dropped, even if the order is abandoned half-way.
#[derive(Debug)]
#[must_use = "the answer is given only as long as this is kept"]
pub(super) struct Open {
    challenges: Arc<Challenges>,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Http(String),
    TlsAlpn(String),
}

impl Drop for Open {
    fn drop(&mut self) {
        match &self.key {
            Key::Http(token) => {
                self.challenges.http.rcu(|open| {
                    let mut open = HashMap::clone(open);
                    open.remove(token);
                    open
                });
            }
            Key::TlsAlpn(name) => {
                self.challenges.tls_alpn.rcu(|open| {
                    let mut open = HashMap::clone(open);
                    open.remove(name);
                    open
                });
            }
        }
    }
}

/// The configuration with a self-signed certificate that has the name and the digest, and no other protocol (RFC 8737
/// section 3).
fn challenge_config(name: &str, digest: &[u8; 32]) -> Result<ServerConfig, String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| error.to_string())?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| error.to_string())?;
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(Version::Tls12.and_later())
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![TLS_ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_given_until_they_are_dropped() {
        let challenges = Arc::new(Challenges::new());
        let http = challenges.open_http("token", "token.thumb");
        let tls = challenges.open_tls_alpn("Example.com", &[7; 32]).unwrap();
        assert_eq!(challenges.http("token").as_deref(), Some("token.thumb"));
        assert_eq!(challenges.http("other"), None);
        assert!(challenges.tls_alpn("example.COM").is_some());
        assert!(challenges.tls_alpn("example.org").is_none());
        drop((http, tls));
        assert_eq!(challenges.http("token"), None);
        assert!(challenges.tls_alpn("example.com").is_none());
    }
}
