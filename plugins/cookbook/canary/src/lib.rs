//! Sends chosen requests to the backends of a new version, and all others to the other backends of the pool.
//!
//! | key | | default |
//! |---|---|---|
//! | `backends` | the addresses of the new version's backends, as the pool spells them | required |
//! | `header` | `{ name, value }`: requests with this header are chosen; without `value`, whatever it is | none |
//! | `cookie` | the same for a cookie | none |
//! | `percent` | so many of 100 clients are chosen besides, by their address, 0 to 100 | 0 |
//!
//! Within a version, the backend with the least to do for its weight gets the request. When no backend of the
//! new version can take it, one of the old version does; the other way round never.

#![forbid(unsafe_code)]

mod pick;

use std::net::IpAddr;

use pace_plugin::{HeaderName, Health, Plugin, Request, SelectUpstream, Selection, Upstreams, warn};
use serde::Deserialize;

use pick::{Backend, pick};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    backends: Vec<String>,
    header: Option<Header>,
    cookie: Option<Cookie>,
    #[serde(default)]
    percent: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: HeaderName,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cookie {
    name: String,
    value: Option<String>,
}

struct Canary {
    config: Config,
    /// What is known of the pool, and the version of the pool of which that is true.
    pool: (u64, Vec<Backend>),
    turn: u32,
}

impl Plugin for Canary {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        match (&config.header, &config.cookie, config.percent) {
            _ if config.backends.is_empty() => Err("backends: at least one address is needed".into()),
            (None, None, 0) => {
                Err("header, cookie, percent: one of them is needed to choose requests".into())
            }
            (_, _, 101..) => Err(format!("percent: expected 0 to 100, found {}", config.percent)),
            _ => Ok(Self {
                config,
                pool: (0, Vec::new()),
                turn: 0,
            }),
        }
    }
}

impl Canary {
    fn chooses(&self, request: &Request) -> bool {
        let is = |found: Option<Vec<u8>>, value: &Option<String>| match (found, value) {
            (Some(found), Some(value)) => found == value.as_bytes(),
            (found, _) => found.is_some(),
        };
        let by_header = |header: &Header| is(request.header(header.name.as_str()), &header.value);
        let by_cookie = |cookie: &Cookie| is(request.cookie(&cookie.name), &cookie.value);
        self.config.header.as_ref().is_some_and(by_header)
            || self.config.cookie.as_ref().is_some_and(by_cookie)
            || (self.config.percent > 0 && share(request.client_address()) < self.config.percent)
    }

    fn look_at(&self, upstreams: &Upstreams) -> Vec<Backend> {
        let backend = |index| Backend {
            is_new: self.config.backends.contains(&upstreams.address(index)),
            weight: upstreams.weight(index),
            is_healthy: upstreams.health(index) == Health::Healthy,
        };
        let backends: Vec<_> = (0..upstreams.count()).map(backend).collect();
        if !backends.iter().any(|backend| backend.is_new) {
            warn!(
                "backends: the pool {} has none of them, so nothing is sent there",
                upstreams.pool()
            );
        }
        backends
    }
}

/// Where in 0 to 99 a client is: always the same for one IPv4 address or one IPv6 network of 64 bits.
fn share(client: IpAddr) -> u8 {
    let mut bits = match client.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    };
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014), in which each bit depends on every bit.
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((u128::from(bits ^ (bits >> 31)) * 100) >> 64) as u8
}

impl SelectUpstream for Canary {
    fn select_upstream(&mut self, request: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let version = upstreams.version();
        if self.pool.0 != version || self.pool.1.is_empty() {
            self.pool = (version, self.look_at(upstreams));
        }
        self.turn = self.turn.wrapping_add(1);
        let tried = |index| attempt > 1 && upstreams.tried(index);
        let picked = pick(&self.pool.1, self.chooses(request), self.turn, tried, |index| {
            upstreams.in_flight(index)
        });
        picked.map_or(Selection::Pass, Selection::Pick)
    }
}

pace_plugin::export!(Canary: SelectUpstream);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_clients_is_chosen_and_stays_chosen() {
        let chosen = (0..20_000u32)
            .filter(|address| share(IpAddr::V4((*address).into())) < 10)
            .count();
        assert!(
            (1_800..2_200).contains(&chosen),
            "{chosen} of 20000, for 10 of 100"
        );
        let of = |address: &str| share(address.parse().expect("a test names an address"));
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"), "one subscriber");
        assert!((0..1000u32).all(|address| share(IpAddr::V4(address.into())) < 100));
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |json| {
            pace_plugin::parse_config(json)
                .and_then(Canary::configure)
                .err()
                .unwrap_or_default()
        };
        assert!(refusal(r#"{"backends": [], "percent": 1}"#).starts_with("backends: "));
        assert!(refusal(r#"{"backends": ["a:1"]}"#).starts_with("header, cookie, percent: one"));
        assert!(
            refusal(r#"{"backends": ["a:1"], "percent": 101}"#).starts_with("percent: expected 0 to 100")
        );
        assert!(
            refusal(r#"{"backends": ["a:1"], "header": {"nam": "x"}}"#).starts_with("header.nam: unknown")
        );
    }
}
