//! Splits the requests of a route between pools.

use std::net::IpAddr;
use std::sync::Arc;

use pace_config::route::SplitBy;
use pace_wire::cookie;
use pace_wire::request::RequestHead;

use crate::upstream::Pool;
use pace_hook::Pools;

/// The pools of a route with their shares of requests. `T` is a pool.
///
/// Requests with the same key go to the same pool: on every worker, after a reload and a restart, and behind another Pace
/// with the same configuration. When weights change, only those requests move whose share moves. This is rendezvous hashing
/// with weights (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005, the logarithmic method): each pool
/// draws a number from the key and its own name, and a pool's number does not depend on the others.
pub struct Split<T> {
    shares: Box<[Share<T>]>,
    by: Option<SplitBy>,
}

struct Share<T> {
    pool: T,
    /// The hash of the pool's name.
    name: u64,
    weight: u32,
}

impl<T> Split<T> {
    /// A split between pools with their names and weights. There is one at least, and one of the weights is not 0.
    pub fn new<'n>(pools: impl IntoIterator<Item = (T, &'n str, u32)>, by: Option<SplitBy>) -> Split<T> {
        let share = |(pool, name, weight): (T, &str, u32)| Share {
            pool,
            name: hash(name.as_bytes()),
            weight,
        };
        Split {
            shares: pools.into_iter().map(share).collect(),
            by,
        }
    }

    /// The pool with an index.
    ///
    /// # Panics
    ///
    /// If there are not so many pools.
    pub fn pool(&self, index: usize) -> &T {
        &self.shares[index].pool
    }

    /// Whether there is nothing to choose.
    pub fn has_one_pool(&self) -> bool {
        self.shares.len() == 1
    }

    /// Chooses the pool of a request, and returns its index.
    pub fn choose(&self, client: IpAddr, request: &RequestHead) -> usize {
        if self.has_one_pool() {
            return 0;
        }
        match &self.by {
            None => self.draw(fastrand::u64(..)),
            Some(by) => self.draw(key(by, client, request)),
        }
    }

    /// The index of the pool that draws the best number for a key.
    fn draw(&self, key: u64) -> usize {
        let number = |share: &Share<T>| match share.weight {
            0 => f64::INFINITY,
            weight => -unit(mix(key ^ share.name)).ln() / f64::from(weight),
        };
        let numbers = self.shares.iter().map(number).enumerate();
        let best = numbers.min_by(|(_, one), (_, other)| one.total_cmp(other));
        best.map_or(0, |(index, _)| index)
    }
}

impl Pools for Split<Arc<Pool>> {
    fn index_of(&self, name: &str) -> Option<usize> {
        self.shares.iter().position(|share| share.pool.name == name)
    }

    fn name(&self, index: usize) -> &str {
        &self.pool(index).name
    }
}

/// The key of a request. Without the cookie or the field it is that of the client, so that clients stay on one side until they
/// have one.
fn key(by: &SplitBy, client: IpAddr, request: &RequestHead) -> u64 {
    let said = match by {
        SplitBy::Client => None,
        SplitBy::Cookie(name) => cookie::values(&request.fields, name).next(),
        SplitBy::Header(name) => request.fields.get(name.as_str()),
    };
    match (said, client) {
        (Some(value), _) if !value.is_empty() => hash(value),
        (_, IpAddr::V4(address)) => hash(&address.octets()),
        // The rest of an address of IPv6 is the host's own, which changes it every day (RFC 8981).
        (_, IpAddr::V6(address)) => hash(&address.octets()[..8]),
    }
}

/// FNV-1a with 64 bits (Fowler, Noll and Vo), which is the same for ever.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Has every bit depend on every other, which FNV-1a does not: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A number between 0 and 1, neither of which it is.
fn unit(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use pace_wire::request::Rules;
    use proptest::prelude::*;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn split<'n>(weights: &[(&'n str, u32)]) -> Split<&'n str> {
        let pools = weights.iter().map(|(name, weight)| (*name, *name, *weight));
        Split::new(pools, None)
    }

    fn request(fields: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let read = head.read(
            format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(),
            &Rules::default(),
        );
        read.expect("it is valid");
        head
    }

    fn chosen<'n>(split: &Split<&'n str>, key: u64) -> &'n str {
        split.pool(split.draw(hash(&key.to_be_bytes())))
    }

    #[test]
    fn requests_are_split_by_weight() {
        let split = split(&[("a", 6), ("b", 3), ("c", 1), ("none", 0)]);
        let mut counts = [0_i32; 4];
        for key in 0..100_000 {
            counts[split.draw(hash(&u64::to_be_bytes(key)))] += 1;
        }
        for (count, expected) in counts.into_iter().zip([60_000, 30_000, 10_000, 0]) {
            assert!((count - expected).abs() < 600, "{counts:?}");
        }
        assert_eq!(counts[3], 0);
    }

    /// A change of the hash would move every client of every split.
    #[test]
    fn choice_is_the_same_for_ever() {
        let split = split(&[("stable", 1), ("next", 1)]);
        let names: Vec<_> = (0..8).map(|key| chosen(&split, key)).collect();
        let expected = [
            "next", "stable", "stable", "stable", "next", "stable", "stable", "stable",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn key_is_the_cookie_or_the_field_and_else_the_client() {
        let other: IpAddr = "192.0.2.8".parse().expect("an address");
        let name = |name: &str| match SplitBy::parse(name) {
            Ok(by) => by,
            Err(reason) => panic!("{reason}"),
        };
        let of = |by: &str, client, fields: &str| key(&name(by), client, &request(fields));
        assert_ne!(of("client", CLIENT, ""), of("client", other, ""));
        for (by, one, two) in [
            ("cookie:sid", "Cookie: a=b; sid=1\r\n", "Cookie: sid=2\r\n"),
            ("header:X-User", "x-user: 1\r\n", "x-user: 2\r\n"),
        ] {
            assert_eq!(of(by, CLIENT, one), of(by, other, one), "{by}");
            assert_ne!(of(by, CLIENT, one), of(by, CLIENT, two), "{by}");
            for without in ["", "Cookie: sid=\r\nX-User: \r\n"] {
                assert_eq!(of(by, CLIENT, without), of("client", CLIENT, ""), "{by}");
            }
        }
        let [v6, neighbour, stranger] = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"]
            .map(|address| of("client", address.parse().expect("an address"), ""));
        assert!(v6 == neighbour && v6 != stranger);
    }

    proptest! {
        /// Requests come to a pool only if its weight has grown, and leave it only if it has shrunk, beside the others.
        #[test]
        fn change_of_a_weight_moves_requests_of_that_pool_only(
            weights in proptest::collection::vec(0_u32..20, 2..6),
            changed in 0_usize..6,
            to in 0_u32..20,
        ) {
            let names = ["a", "b", "c", "d", "e"];
            let changed = changed % weights.len();
            let pools = |weights: &[u32]| {
                let pools: Vec<_> = names.iter().copied().zip(weights.iter().copied()).collect();
                split(&pools)
            };
            let mut after = weights.clone();
            after[changed] = to;
            prop_assume!(weights.iter().any(|weight| *weight > 0) && after.iter().any(|weight| *weight > 0));
            let (before, later) = (pools(&weights), pools(&after));
            for key in 0..200 {
                let (old, new) = (chosen(&before, key), chosen(&later, key));
                if old != new {
                    let moved = if to > weights[changed] { new } else { old };
                    prop_assert_eq!(moved, names[changed]);
                }
            }
        }
    }
}
