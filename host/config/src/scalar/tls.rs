//! Words of TLS settings.

use serde::Deserialize;

use crate::problem::suggestion;
use crate::types;
use crate::types::listener;

/// `min_version`: the oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Version(pub listener::TlsVersion);

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "1.2" => Ok(Version(listener::TlsVersion::Tls12)),
            "1.3" => Ok(Version(listener::TlsVersion::Tls13)),
            "1.0" | "1.1" => Err(format!(
                "TLS {text} is broken (RFC 8996) and not spoken: write \"1.2\" or \"1.3\""
            )),
            _ => Err(format!("{text:?} is none of \"1.2\", \"1.3\"")),
        }
    }
}

/// A protocol that clients can choose in the handshake.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Alpn(pub listener::Alpn);

impl TryFrom<String> for Alpn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "h2" => Ok(Alpn(listener::Alpn::Http2)),
            "http/1.1" => Ok(Alpn(listener::Alpn::Http11)),
            "h3" => Err("\"h3\": HTTP/3 is not spoken by this version of Pace".to_owned()),
            _ => Err(format!(
                "{text:?} is none of \"h2\", \"http/1.1\"{}",
                suggestion(&text, &["h2", "http/1.1"])
            )),
        }
    }
}

/// `protocol` of a pool: the protocol spoken with its backends.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Protocol(pub types::Protocol);

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Protocol(types::Protocol::Auto)),
            "http/1.1" => Ok(Protocol(types::Protocol::Http1)),
            "h2" => Ok(Protocol(types::Protocol::Http2)),
            "h3" => Err("\"h3\": HTTP/3 is not spoken by this version of Pace".to_owned()),
            _ => Err(format!(
                "{text:?} is none of \"auto\", \"http/1.1\", \"h2\"{}",
                suggestion(&text, &["auto", "http/1.1", "h2"])
            )),
        }
    }
}

/// `client_certificates`: whether clients must present a certificate.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClientCertificates(pub listener::ClientCertificates);

impl TryFrom<String> for ClientCertificates {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(ClientCertificates(listener::ClientCertificates::None)),
            "optional" => Ok(ClientCertificates(listener::ClientCertificates::Optional)),
            "required" => Ok(ClientCertificates(listener::ClientCertificates::Required)),
            _ => Err(format!(
                "{text:?} is none of \"none\", \"optional\", \"required\"{}",
                suggestion(&text, &["none", "optional", "required"])
            )),
        }
    }
}

/// `forward_client_certificates`: how much of the certificate that a client has shown is forwarded to backends.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ForwardedCertificates(pub listener::ForwardedCertificates);

impl TryFrom<String> for ForwardedCertificates {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let choice = match text.as_str() {
            "none" => listener::ForwardedCertificates::None,
            "certificate" => listener::ForwardedCertificates::Certificate,
            "chain" => listener::ForwardedCertificates::Chain,
            _ => {
                return Err(format!(
                    "{text:?} is none of \"none\", \"certificate\", \"chain\"{}",
                    suggestion(&text, &["none", "certificate", "chain"])
                ));
            }
        };
        Ok(ForwardedCertificates(choice))
    }
}

/// A name that a certificate is ordered for.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ServerName(pub String);

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('*') {
            return Err(format!(
                "{text:?}: an authority gives wildcards only to whoever controls the DNS of a name, which Pace does not"
            ));
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        match text.len() <= 253 && text.split('.').all(is_label) {
            true => Ok(ServerName(text.to_ascii_lowercase())),
            false => Err(format!("{text:?} is not the name of a host")),
        }
    }
}
