//! Admits clients by the certificates that they have shown.
//!
//! | key | | default |
//! |---|---|---|
//! | `subjects` | whole subjects in the form of RFC 4514, such as `"CN=ann,O=Example"` | none |
//! | `common_names` | the `CN` of a subject that has one | none |
//! | `dns_names` | names of hosts; a certificate needs one of them | none |
//! | `uris` | URIs such as SPIFFE IDs; a certificate needs one of them | none |
//! | `fingerprints` | SHA-256 of certificates, as `openssl x509 -noout -fingerprint -sha256` prints them | none |
//! | `forward` | where the backend is told the subject | nowhere |
//!
//! A certificate that is in one of the lists is enough. Whether it is genuine has been decided by then: the
//! listener needs `client_ca`, and `client_certificates` that are `"optional"` or `"required"`.

#![forbid(unsafe_code)]

use pace_plugin::{ClientCertificate, EditError, HeaderName, Plugin, Reply, Request, RequestFilter, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admission {
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    common_names: Vec<String>,
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    uris: Vec<String>,
    #[serde(default)]
    fingerprints: Vec<Fingerprint>,
    forward: Option<HeaderName>,
}

/// A SHA-256 in hexadecimal digits in lower case.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Fingerprint(String);

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.replace(':', "").to_ascii_lowercase();
        match digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            true => Ok(Self(digits)),
            false => {
                Err("expected the 64 hexadecimal digits of a SHA-256, with colons between them or without")
            }
        }
    }
}

impl Plugin for Admission {
    type Config = Admission;

    fn configure(mut config: Admission) -> Result<Self, String> {
        let texts = [
            &config.subjects,
            &config.common_names,
            &config.dns_names,
            &config.uris,
        ];
        if config.fingerprints.is_empty() && texts.iter().all(|list| list.is_empty()) {
            return Err(
                "subjects, common_names, dns_names, uris, fingerprints: one is needed, or nobody is let in"
                    .into(),
            );
        }
        for name in &mut config.dns_names {
            name.make_ascii_lowercase();
        }
        Ok(config)
    }
}

impl Admission {
    fn admits(&self, certificate: &ClientCertificate) -> bool {
        let has_one_of = |names: &[String], list: &[String]| names.iter().any(|name| list.contains(name));
        let common_name = certificate.common_name.as_ref();
        self.subjects.contains(&certificate.subject)
            || common_name.is_some_and(|name| self.common_names.contains(name))
            || has_one_of(&certificate.dns_names, &self.dns_names)
            || has_one_of(&certificate.uris, &self.uris)
            || self
                .fingerprints
                .iter()
                .any(|known| known.0 == certificate.fingerprint)
    }

    fn introduce(&self, certificate: &ClientCertificate, request: &mut Request) -> Result<(), EditError> {
        match &self.forward {
            Some(header) => request.set_header(header, &certificate.subject),
            None => Ok(()),
        }
    }
}

impl RequestFilter for Admission {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let Some(certificate) = request.client_certificate() else {
            return Reply::new(403).body("This needs a certificate.\n").into();
        };
        if !self.admits(&certificate) {
            return Reply::new(403).body("Not with this certificate.\n").into();
        }
        match self.introduce(&certificate, request) {
            Ok(()) => Verdict::Next,
            Err(error) => {
                pace_plugin::warn!("{} cannot be forwarded: {error}", certificate.subject);
                Reply::new(500).into()
            }
        }
    }
}

pace_plugin::export!(Admission: RequestFilter);
