//! The content of a certificate, as far as Pace uses it.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::subject;

/// A certificate and its content. Nothing is verified here: that is part of the handshake.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: String,
    common_name: Option<String>,
    issuer: String,
    serial_number: String,
    names: Vec<AlternativeName>,
    not_before: SystemTime,
    not_after: SystemTime,
    sha256: [u8; 32],
}

/// A name in the `subjectAltName` of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// A host name, in lower case. The first label may be `*`.
    Dns(String),
    /// A mail address.
    Email(String),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// An IP address.
    Ip(IpAddr),
}

/// An error of bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {0}")]
pub struct NotACertificate(String);

impl Certificate {
    /// Reads the content of `der`.
    ///
    /// # Errors
    ///
    /// An error if it is no X.509 certificate in DER, or one of its extensions is broken.
    pub fn parse(der: CertificateDer<'static>) -> Result<Certificate, NotACertificate> {
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|error| NotACertificate(error.to_string()))?;
        if !rest.is_empty() {
            return Err(NotACertificate(format!("{} bytes follow it", rest.len())));
        }
        let alternative = parsed
            .subject_alternative_name()
            .map_err(|error| NotACertificate(format!("subjectAltName: {error}")))?;
        let names = alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(AlternativeName::of)
            .collect();
        Ok(Certificate {
            subject: subject::rfc4514(parsed.subject()),
            common_name: subject::common_name(parsed.subject()),
            issuer: subject::rfc4514(parsed.issuer()),
            serial_number: serial_number(parsed.tbs_certificate.raw_serial()),
            names,
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            sha256: Sha256::digest(&der).into(),
            der,
        })
    }

    /// The certificate itself, in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The subject as RFC 4514 writes it, most specific part first: `CN=api,O=Example`. Empty if there is none.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The value of the subject's CN, not escaped. `None` if it has none or several, or one with control characters.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The issuer in the form of [`Certificate::subject`].
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The serial number: two lower-case hexadecimal digits for each byte, without leading bytes of zero. A minus sign
    /// precedes a negative one.
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// The names, in the certificate's order. Names of other kinds, and those with control characters, are left out.
    pub fn names(&self) -> &[AlternativeName] {
        &self.names
    }

    /// The host names, in the certificate's order and in lower case.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            AlternativeName::Dns(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The first second at which the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last second at which the certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whole days from `now` until the certificate expires; negative once it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        const DAY: i128 = 86_400 * 1_000_000_000;
        let nanoseconds = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
        let left = match self.not_after.duration_since(now) {
            Ok(left) => nanoseconds(left),
            Err(past) => -nanoseconds(past.duration()),
        };
        i64::try_from(left.div_euclid(DAY)).unwrap_or(i64::MAX)
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// SHA-256 of the DER as tools write a fingerprint: 64 lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&self.sha256)
    }
}

impl AlternativeName {
    fn of(name: &GeneralName<'_>) -> Option<AlternativeName> {
        // A control character would have no harmless place in a log or a header.
        let clean = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control());
        match name {
            GeneralName::DNSName(name) if clean(name) => {
                Some(AlternativeName::Dns(name.to_ascii_lowercase()))
            }
            GeneralName::RFC822Name(name) if clean(name) => Some(AlternativeName::Email((*name).to_owned())),
            GeneralName::URI(name) if clean(name) => Some(AlternativeName::Uri((*name).to_owned())),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
                _ => None,
            }
            .map(AlternativeName::Ip),
            _ => None,
        }
    }
}

impl fmt::Display for AlternativeName {
    /// Writes a name as OpenSSL does: `DNS:example.com`, `email:a@example.com`, `URI:spiffe://example/a`,
    /// `IP:192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlternativeName::Dns(name) => write!(f, "DNS:{name}"),
            AlternativeName::Email(name) => write!(f, "email:{name}"),
            AlternativeName::Uri(name) => write!(f, "URI:{name}"),
            AlternativeName::Ip(address) => write!(f, "IP:{address}"),
        }
    }
}

/// A number in DER (X.690 section 8.3) as text. No two numbers look alike: authorities must not issue negative ones
/// (RFC 5280 section 4.1.2.2), and some do.
fn serial_number(der: &[u8]) -> String {
    let is_negative = der.first().is_some_and(|first| first & 0x80 != 0);
    let mut magnitude = der.to_vec();
    if is_negative {
        // What is below zero is written as its complement and one more.
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let significant = &magnitude[zeros.min(magnitude.len().saturating_sub(1))..];
    let sign = if is_negative { "-" } else { "" };
    sign.to_owned() + &hexadecimal(significant)
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// A time from seconds. Years of certificates go to 9999, so neither way can overflow.
fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

/// A time in words, to the second: `Sat, 01 Aug 2026 00:00:00 GMT`.
pub(crate) fn words(time: SystemTime) -> String {
    // The formatter has no years before 1970; a certificate of that time has expired long ago.
    httpdate::fmt_http_date(time.max(UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn certificate_says_its_names_subject_and_days() {
        let now = SystemTime::now();
        let made = testing::authority("ca").issue(|params| {
            params.subject_alt_names =
                testing::names(&["Example.com", "*.example.org", "192.0.2.7", "2001:db8::1"]);
            params.not_before = (now - Duration::from_secs(86_400)).into();
            params.not_after = (now + Duration::from_secs(10 * 86_400 + 60)).into();
        });
        let certificate = Certificate::parse(made.chain[0].clone()).unwrap();
        let names: Vec<String> = certificate.names().iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "DNS:example.com",
                "DNS:*.example.org",
                "IP:192.0.2.7",
                "IP:2001:db8::1"
            ]
        );
        assert_eq!(
            certificate.dns_names().collect::<Vec<_>>(),
            ["example.com", "*.example.org"]
        );
        assert_eq!(certificate.days_left(now), 10);
        assert_eq!(
            certificate.days_left(certificate.not_after() + Duration::from_secs(1)),
            -1
        );
        assert_eq!(certificate.days_left(certificate.not_after()), 0);
    }

    #[test]
    fn certificate_says_who_has_issued_it_and_by_which_number() {
        let made = testing::authority("ca").issue(|params| {
            params.serial_number = Some(vec![0x00, 0xab, 0x01].into());
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, "a,b");
        });
        let certificate = Certificate::parse(made.chain[0].clone()).unwrap();
        assert_eq!(certificate.issuer(), "CN=ca");
        assert_eq!(certificate.serial_number(), "ab01");
        assert_eq!(certificate.subject(), "CN=a\\,b");
        assert_eq!(certificate.common_name(), Some("a,b"));
    }

    #[test]
    fn serial_numbers_that_differ_are_written_differently() {
        for (der, text) in [
            (&[0][..], "00"),
            (&[1], "01"),
            (&[0x7f], "7f"),
            (&[0x00, 0xff], "ff"),
            (&[0xff], "-01"),
            (&[0x80], "-80"),
            (&[0xff, 0x00], "-0100"),
            (&[0x80, 0x00], "-8000"),
            (&[0x01, 0x00], "0100"),
        ] {
            assert_eq!(serial_number(der), text, "{der:x?}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        assert!(Certificate::parse(vec![0x30, 0x03, 1, 2, 3].into()).is_err());
        let mut longer = testing::authority("ca").issue(|_| ()).chain[0].to_vec();
        longer.push(0);
        assert!(Certificate::parse(longer.into()).is_err());
    }

    #[test]
    fn date_before_1970_is_written_without_panic() {
        assert_eq!(words(time(-1)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(words(time(253_402_300_799)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
