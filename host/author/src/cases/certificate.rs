//! `request.client_certificate`: the certificate that the client of a request has shown.

use serde::Deserialize;

use super::scalar::{Address, Moment};
use pace_config::Sha256;
use pace_config::reading::Shorthand;
use pace_harness::certificate;
use pace_hook::ClientCertificate;

/// A certificate as it is written. Its facts need not fit each other: no authority has issued it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// Whether there is no certificate, as `"none"` says.
    #[serde(skip)]
    is_none: bool,
    subject: Option<String>,
    issuer: Option<String>,
    serial_number: Option<String>,
    not_before: Option<Moment>,
    not_after: Option<Moment>,
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    uris: Vec<String>,
    #[serde(default)]
    email_addresses: Vec<String>,
    #[serde(default)]
    ip_addresses: Vec<Address>,
    fingerprint: Option<Fingerprint>,
    der: Option<Der>,
}

impl Shorthand for Certificate {
    const EXPECTED: &'static str = "a table such as { subject = \"CN=ann\" }, or \"none\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Certificate {
                is_none: true,
                ..Certificate::default()
            }),
            _ => Err(format!("{text:?} must be {}", Self::EXPECTED)),
        }
    }
}

impl Certificate {
    /// The facts for the plugin; `None` if there is no certificate.
    pub(super) fn told(&self) -> Option<ClientCertificate> {
        if self.is_none {
            return None;
        }
        let mut told = certificate(self.subject.as_deref().unwrap_or("CN=client"));
        let texts = [
            (&self.issuer, &mut told.issuer),
            (&self.serial_number, &mut told.serial_number),
        ];
        for (said, text) in texts {
            if let Some(said) = said {
                text.clone_from(said);
            }
        }
        for (said, time) in [
            (self.not_before, &mut told.not_before),
            (self.not_after, &mut told.not_after),
        ] {
            if let Some(Moment(nanoseconds)) = said {
                *time = i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX);
            }
        }
        told.dns_names.clone_from(&self.dns_names);
        told.uris.clone_from(&self.uris);
        told.email_addresses.clone_from(&self.email_addresses);
        let addresses = self.ip_addresses.iter();
        told.ip_addresses = addresses.map(|address| address.0.to_string()).collect();
        if let Some(Der(bytes)) = &self.der {
            told.fingerprint = Sha256::of(bytes).to_string();
            told.der.clone_from(bytes);
        }
        if let Some(Fingerprint(digest)) = self.fingerprint {
            told.fingerprint = digest.to_string();
        }
        Some(told)
    }
}

/// A SHA-256 in hexadecimal digits of either case.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Fingerprint(Sha256);

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digest = Sha256::parse(&text).map(Fingerprint);
        digest.ok_or_else(|| format!("{text:?} must be 64 hexadecimal digits"))
    }
}

/// A certificate in DER, in hexadecimal digits of either case, with white space between them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Der(Vec<u8>);

impl TryFrom<String> for Der {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digit = |character: char| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits = text.split_whitespace().flat_map(str::chars).map(digit);
        let digits: Option<Vec<u8>> = digits.collect();
        match digits.as_deref().map(<[u8]>::as_chunks) {
            Some((pairs, [])) => Ok(Der(pairs.iter().map(|[high, low]| high << 4 | low).collect())),
            _ => Err("must be pairs of hexadecimal digits".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(written: &str) -> Result<Option<ClientCertificate>, String> {
        let certificate = toml::from_str::<Certificate>(written);
        certificate
            .map(|certificate| certificate.told())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn certificate_has_what_is_written_and_defaults_for_the_rest() {
        let certificate = told(
            "subject = 'CN=ann,O=Example'\nnot_after = 2026-01-01T00:00:01Z\nuris = ['spiffe://a/b']\n\
             ip_addresses = ['2001:DB8::1']\nder = '30 0A\tff'",
        )
        .expect("it is legal")
        .expect("there is one");
        assert_eq!(certificate.common_name.as_deref(), Some("ann"));
        assert_eq!(certificate.issuer, "CN=authority");
        assert_eq!(certificate.not_after, 1_767_225_601);
        assert_eq!(certificate.uris, ["spiffe://a/b"]);
        assert_eq!(certificate.ip_addresses, ["2001:db8::1"]);
        assert_eq!(certificate.der, [0x30, 0x0a, 0xff]);
        assert_eq!(
            certificate.fingerprint,
            Sha256::of(&[0x30, 0x0a, 0xff]).to_string()
        );
        let other = told("fingerprint = 'AB'").expect_err("it is too short");
        assert!(other.contains("must be 64 hexadecimal digits"), "{other}");
        for der in ["3", "3x", "30 0"] {
            assert!(told(&format!("der = '{der}'")).is_err(), "{der}");
        }
    }

    #[test]
    fn no_certificate_is_written_as_none() {
        let none = Certificate::from_text("none").expect("it is a word");
        assert_eq!(none.told(), None);
        assert!(Certificate::from_text("CN=ann").is_err());
    }
}
