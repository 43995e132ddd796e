//! Digests and message authentication codes (RFC 2104).

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};

/// A hash function, as the contract names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// For signatures that others have specified.
    Sha1,
    /// SHA-2 of 256 bits.
    Sha256,
    /// SHA-2 of 384 bits.
    Sha384,
    /// SHA-2 of 512 bits.
    Sha512,
}

/// The result of a hash function or an HMAC: 20, 32, 48 or 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; LONGEST],
    length: usize,
}

/// The length of the longest digest.
const LONGEST: usize = 64;

impl Hash {
    /// The digest of these bytes.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let algorithm = match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        };
        Digest::new(digest::digest(algorithm, bytes).as_ref())
    }

    /// The HMAC by this secret of the parts, one behind the other.
    pub fn hmac(self, secret: &[u8], parts: &[&[u8]]) -> Digest {
        let algorithm = match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, secret));
        for part in parts {
            context.update(part);
        }
        Digest::new(context.sign().as_ref())
    }

    /// Whether `candidate` is the HMAC of the parts. Takes as long whatever is wrong with it.
    pub fn verify_hmac(self, secret: &[u8], parts: &[&[u8]], candidate: &[u8]) -> bool {
        equal(self.hmac(secret, parts).as_ref(), candidate)
    }
}

/// Whether `candidate` is the secret. The time depends on the candidate's length and not on the secret's, nor on which bytes
/// differ: digests are compared.
pub fn matches(secret: &[u8], candidate: &[u8]) -> bool {
    let [secret, candidate] = [secret, candidate].map(|bytes| Hash::Sha256.digest(bytes));
    equal(secret.as_ref(), candidate.as_ref())
}

fn equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

impl Digest {
    fn new(from: &[u8]) -> Digest {
        let length = from.len().min(LONGEST);
        let mut bytes = [0; LONGEST];
        bytes[..length].copy_from_slice(&from[..length]);
        Digest { bytes, length }
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digest: Digest) -> String {
        format!("{digest:?}")
    }

    /// The examples "abc" of FIPS 180-4.
    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(
            hex(Hash::Sha1.digest(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(Hash::Sha256.digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(Hash::Sha384.digest(b"abc")),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7"
        );
        assert_eq!(
            hex(Hash::Sha512.digest(b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }

    /// The second cases of RFC 2202 and RFC 4231.
    #[test]
    fn codes_are_those_of_the_standards_however_the_message_is_split() {
        let expected = [
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                Hash::Sha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Hash::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ];
        let message = b"what do ya want for nothing?";
        for (hash, expected) in expected {
            assert_eq!(hex(hash.hmac(b"Jefe", &[message])), expected);
            for at in 0..=message.len() {
                let (before, rest) = message.split_at(at);
                assert_eq!(hex(hash.hmac(b"Jefe", &[before, rest])), expected);
            }
        }
    }

    #[test]
    fn candidate_of_other_bytes_or_length_is_refused() {
        let code = Hash::Sha256.hmac(b"secret", &[b"body"]);
        let code = code.as_ref();
        assert!(Hash::Sha256.verify_hmac(b"secret", &[b"bo", b"dy"], code));
        assert!(!Hash::Sha256.verify_hmac(b"other", &[b"body"], code));
        assert!(!Hash::Sha256.verify_hmac(b"secret", &[b"body"], &code[..31]));
        assert!(!Hash::Sha256.verify_hmac(b"secret", &[b"body"], b""));
        for at in 0..code.len() {
            let mut wrong = code.to_vec();
            wrong[at] ^= 1;
            assert!(!Hash::Sha256.verify_hmac(b"secret", &[b"body"], &wrong));
        }
    }

    #[test]
    fn secret_matches_itself_alone() {
        assert!(matches(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret"] {
            assert!(!matches(b"secret", other));
        }
        assert!(matches(b"", b""));
    }
}
