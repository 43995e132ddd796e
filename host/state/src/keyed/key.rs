use std::hash::BuildHasher;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

/// A key: events with the same one are counted together.
///
/// An IPv4 address and the same address mapped into IPv6 (`::ffff:192.0.2.7`) are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The whole address, which is the same key as its network with all bits.
    Address(IpAddr),
    /// The address truncated to its leading bits.
    Network(IpAddr, Prefixes),
    /// Any bytes. More than 256 of them are kept as their SHA-256.
    Bytes(&'a [u8]),
}

/// The leading bits of an address that count, for each family. A larger number than the family has means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// Bits of 32.
    pub ipv4: u8,
    /// Bits of 128.
    pub ipv6: u8,
}

/// The most bytes that are kept as they are.
const LONGEST: usize = 256;

/// A key in the form in which it is looked up: addresses masked, long bytes hashed, nothing allocated.
///
/// An IPv4 address is the IPv6 address that it maps to, with a prefix 96 longer. No other IPv6 network is
/// equal to it: one inside of `::ffff:0:0/96` is converted to IPv4, and a wider one has zeros where the
/// mapped address has ones.
#[derive(Hash, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    Network { address: u128, prefix: u8 },
    Bytes(&'a [u8]),
    Digest([u8; 32]),
}

impl<'a> From<Key<'a>> for Lookup<'a> {
    fn from(key: Key<'a>) -> Lookup<'a> {
        match key {
            Key::Address(address) => network(address, Prefixes { ipv4: 32, ipv6: 128 }),
            Key::Network(address, prefixes) => network(address, prefixes),
            Key::Bytes(bytes) if bytes.len() <= LONGEST => Lookup::Bytes(bytes),
            Key::Bytes(bytes) => Lookup::Digest(Sha256::digest(bytes).into()),
        }
    }
}

fn network(address: IpAddr, prefixes: Prefixes) -> Lookup<'static> {
    let (bits, prefix) = match address.to_canonical() {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), 96 + prefixes.ipv4.min(32)),
        IpAddr::V6(v6) => (v6.to_bits(), prefixes.ipv6.min(128)),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Lookup::Network {
        address: bits & mask,
        prefix,
    }
}

impl Lookup<'_> {
    pub(crate) fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(self)
    }

    /// Bytes of the key when it is stored.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<StoredKey>()
            + match self {
                Lookup::Network { .. } => 0,
                Lookup::Bytes(bytes) => bytes.len().next_multiple_of(16),
                Lookup::Digest(digest) => digest.len(),
            }
    }

    pub(crate) fn store(&self) -> StoredKey {
        match *self {
            Lookup::Network { address, prefix } => StoredKey::Network {
                address: address.to_ne_bytes(),
                prefix,
            },
            Lookup::Bytes(bytes) => StoredKey::Bytes(bytes.into()),
            Lookup::Digest(digest) => StoredKey::Digest(Box::new(digest)),
        }
    }
}

/// A key in the form in which it is stored: 24 bytes, and heap memory for bytes only.
pub(crate) enum StoredKey {
    /// The address as an array, which unlike a `u128` may start at any byte.
    Network {
        address: [u8; 16],
        prefix: u8,
    },
    Bytes(Box<[u8]>),
    Digest(Box<[u8; 32]>),
}

impl StoredKey {
    /// Bytes on the heap, rounded up as allocators do.
    pub(super) fn heap(&self) -> usize {
        match self {
            StoredKey::Network { .. } => 0,
            StoredKey::Bytes(bytes) => bytes.len().next_multiple_of(16),
            StoredKey::Digest(digest) => digest.len(),
        }
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        match self {
            StoredKey::Network { address, prefix } => Lookup::Network {
                address: u128::from_ne_bytes(*address),
                prefix: *prefix,
            },
            StoredKey::Bytes(bytes) => Lookup::Bytes(bytes),
            StoredKey::Digest(digest) => Lookup::Digest(**digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: Key<'_>, b: Key<'_>) -> bool {
        Lookup::from(a) == Lookup::from(b)
    }

    fn address(text: &str) -> Key<'static> {
        Key::Address(text.parse().unwrap())
    }

    fn cut(text: &str, ipv4: u8, ipv6: u8) -> Key<'static> {
        Key::Network(text.parse().unwrap(), Prefixes { ipv4, ipv6 })
    }

    #[test]
    fn network_is_equal_for_addresses_with_the_same_prefix() {
        assert!(same(cut("192.0.2.7", 24, 0), cut("192.0.2.255", 24, 128)));
        assert!(!same(cut("192.0.2.7", 24, 64), cut("192.0.3.7", 24, 64)));
        assert!(same(cut("192.0.2.7", 31, 0), cut("192.0.2.6", 31, 0)));
        assert!(same(cut("10.0.0.1", 0, 0), cut("192.0.2.7", 0, 0)));

        assert!(same(
            cut("2001:db8::1", 0, 64),
            cut("2001:db8::ffff:0:0:1", 32, 64)
        ));
        assert!(!same(cut("2001:db8::1", 24, 64), cut("2001:db8:0:1::1", 24, 64)));
        assert!(same(cut("2001:db8::1", 0, 0), cut("::1", 0, 0)));
    }

    #[test]
    fn network_of_another_length_or_family_is_another_key() {
        assert!(!same(cut("10.0.0.0", 8, 64), cut("10.0.0.0", 16, 64)));
        assert!(!same(cut("10.0.0.0", 24, 64), address("10.0.0.0")));
        assert!(!same(cut("10.0.0.0", 0, 0), cut("2001:db8::", 0, 0)));
        assert!(!same(cut("0.0.0.0", 0, 96), cut("::1", 0, 96)));
    }

    #[test]
    fn network_of_all_bits_equals_the_address() {
        for prefixes in [(32, 128), (33, 129), (255, 255)] {
            assert!(same(
                cut("192.0.2.7", prefixes.0, prefixes.1),
                address("192.0.2.7")
            ));
            assert!(same(
                cut("2001:db8::7", prefixes.0, prefixes.1),
                address("2001:db8::7")
            ));
        }
    }

    #[test]
    fn mapped_address_equals_the_ipv4_address() {
        assert!(same(address("::ffff:192.0.2.7"), address("192.0.2.7")));
        assert!(same(cut("::ffff:192.0.2.7", 24, 64), cut("192.0.2.9", 24, 64)));
        assert!(
            !same(address("::192.0.2.7"), address("192.0.2.7")),
            "compatible is not mapped"
        );
    }

    #[test]
    fn bytes_never_equal_a_digest_or_an_address() {
        let long = [b'x'; LONGEST + 1];
        let digest = Sha256::digest(long);
        assert!(matches!(Lookup::from(Key::Bytes(&long[1..])), Lookup::Bytes(_)));
        assert!(matches!(Lookup::from(Key::Bytes(&long)), Lookup::Digest(_)));
        assert!(same(Key::Bytes(&long), Key::Bytes(&long)));
        assert!(!same(Key::Bytes(&long), Key::Bytes(&digest)));
        assert!(!same(Key::Bytes(&long), Key::Bytes(&[b'x'; LONGEST + 2])));
        assert!(!same(Key::Bytes(&long[..LONGEST]), Key::Bytes(&long)));
        assert!(!same(Key::Bytes(b"192.0.2.7"), address("192.0.2.7")));
        assert!(same(Key::Bytes(b""), Key::Bytes(b"")));
    }

    #[test]
    fn stored_key_equals_its_lookup() {
        let long = [7; 1000];
        for key in [
            address("192.0.2.7"),
            cut("2001:db8::1", 24, 56),
            Key::Bytes(b"k"),
            Key::Bytes(&long),
        ] {
            assert!(Lookup::from(key).store().lookup() == Lookup::from(key), "{key:?}");
        }
        assert_eq!(size_of::<StoredKey>(), 24);
    }
}
