//! The names of backends in cookies.

use std::fmt;

use super::Address;
use pace_config::Sha256;

/// The name of a backend in cookies. It does not show the address, and is the same in every process and after every restart with
/// the same pool and address.
///
/// The name is part of a hash without a secret. Anybody who knows the pool's name can test whether a backend has some address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StickyId(u64);

/// The digits of a name.
const DIGITS: usize = 16;

impl StickyId {
    pub(super) fn new(pool: &str, address: &Address) -> StickyId {
        let digest = Sha256::of(format!("pace sticky {pool} {address}").as_bytes()).to_string();
        StickyId::parse(&digest.as_bytes()[..DIGITS]).expect("a digest is written in lower-case digits")
    }

    /// Reads a name as it is written.
    pub fn parse(text: &[u8]) -> Option<StickyId> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != DIGITS || !text.iter().all(is_digit) {
            return None;
        }
        u64::from_str_radix(str::from_utf8(text).ok()?, 16)
            .ok()
            .map(StickyId)
    }
}

impl fmt::Display for StickyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn name_is_stable_differs_by_pool_and_address_and_is_read_as_it_is_written() {
        let id = |pool, port| StickyId::new(pool, &SocketAddr::from(([10, 0, 0, 1], port)).into());
        assert_eq!(id("web", 80), id("web", 80));
        assert_ne!(id("web", 80), id("web", 81));
        assert_ne!(id("web", 80), id("api", 80));
        // Sessions outlive a new version of Pace.
        assert_eq!(id("web", 80).to_string(), STABLE);
        for port in 1..1000 {
            let id = id("web", port);
            assert_eq!(StickyId::parse(id.to_string().as_bytes()), Some(id));
        }
        for wrong in [
            "",
            "0",
            "00000000000000000",
            "000000000000000G",
            "000000000000000A",
            "+000000000000000",
        ] {
            assert_eq!(StickyId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    const STABLE: &str = "9482396e6ccc1f9f";
}
