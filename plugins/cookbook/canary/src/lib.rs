//! Sends chosen requests to the backends of a new version, and all others to the other backends of the pool.
//!
//! | key | | default |
//! |---|---|---|
//! | `backends` | the addresses of the new version's backends, as the pool spells them | required |
//! | `header` | `{ name, value }`: requests with this header are chosen; without `value`, whatever it is | none |
//! | `cookie` | the same for a cookie | none |
//! | `percent` | so many of 100 clients are chosen besides, by their address, 0 to 100 | 0 |
//!
//! Within a version, the backend with the least load for its weight gets the request. When no backend of the
//! new version can take it, one of the old version does, but never the other way round.

#![forbid(unsafe_code)]

use std::net::IpAddr;

use pace_plugin::{HeaderName, Health, Integer, Plugin, Request, SelectUpstream, Selection, Upstreams, warn};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    backends: Vec<String>,
    header: Option<Mark<HeaderName>>,
    cookie: Option<Mark<String>>,
    percent: Option<Integer<0, 100>>,
}

/// The mark of a chosen request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark<N> {
    name: N,
    value: Option<String>,
}

struct Canary {
    config: Config,
    /// The backends with the new version, and the version of the pool for which the list holds.
    pool: Option<(u64, Vec<bool>)>,
    /// The turn, by which a different one of several equally loaded backends is picked each time.
    turn: u32,
}

impl Plugin for Canary {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        match (&config.header, &config.cookie, config.percent()) {
            _ if config.backends.is_empty() => Err("backends: at least one address is needed".into()),
            (None, None, 0) => {
                Err("header, cookie, percent: one of them is needed to choose requests".into())
            }
            _ => Ok(Self {
                config,
                pool: None,
                turn: 0,
            }),
        }
    }
}

impl<N> Mark<N> {
    fn is(&self, found: Option<Vec<u8>>) -> bool {
        let fits = |found: Vec<u8>| self.value.as_ref().is_none_or(|value| found == value.as_bytes());
        found.is_some_and(fits)
    }
}

impl Config {
    fn percent(&self) -> u64 {
        self.percent.map_or(0, Integer::get)
    }

    fn chooses(&self, request: &Request) -> bool {
        let has_header = |mark: &Mark<HeaderName>| mark.is(request.header(&mark.name));
        let has_cookie = |mark: &Mark<String>| mark.is(request.cookie(&mark.name));
        self.header.as_ref().is_some_and(has_header)
            || self.cookie.as_ref().is_some_and(has_cookie)
            || (self.percent() > 0 && place(request.client_address()) < self.percent())
    }

    fn new_ones(&self, upstreams: &Upstreams) -> Vec<bool> {
        let addresses = (0..upstreams.count()).map(|index| upstreams.address(index));
        let new: Vec<bool> = addresses
            .map(|address| self.backends.contains(&address))
            .collect();
        if !new.contains(&true) {
            warn!(
                "backends: the pool {} has none of them, so nothing is sent there",
                upstreams.pool()
            );
        }
        new
    }
}

/// The place of a client in 0 to 99, the same for an IPv4 address or an IPv6 network of 64 bits.
fn place(client: IpAddr) -> u64 {
    let mut bits = match client.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    };
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014), in which each bit depends on every bit.
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((u128::from(bits ^ (bits >> 31)) * 100) >> 64) as u64
}

impl SelectUpstream for Canary {
    fn select_upstream(&mut self, request: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
        let version = upstreams.version();
        let known = self.pool.take().filter(|(of, _)| *of == version);
        let (_, new) = self
            .pool
            .insert(known.unwrap_or_else(|| (version, self.config.new_ones(upstreams))));
        self.turn = self.turn.wrapping_add(1);
        let (count, turn) = (upstreams.count(), self.turn);
        let best = |is_new: bool, may_fail: bool| {
            let healthy = |index| upstreams.health(index) == Health::Healthy;
            let untried = |index| attempt == 1 || !upstreams.tried(index);
            (0..count)
                .filter(|&index| new[index as usize] == is_new && upstreams.weight(index) > 0)
                .filter(|&index| may_fail || (healthy(index) && untried(index)))
                // A request more than it has, so that the weights count also when nobody has any.
                .min_by_key(|&index| {
                    let load = (u64::from(upstreams.in_flight(index)) + 1) * 65_536;
                    (
                        load / u64::from(upstreams.weight(index)),
                        (index + count - turn % count) % count,
                    )
                })
        };
        let wanted = self.config.chooses(request).then(|| best(true, false)).flatten();
        // One that may fail is better than none at all, if it has the old version.
        let picked = wanted
            .or_else(|| best(false, false))
            .or_else(|| best(false, true));
        picked.map_or(Selection::Pass, Selection::Pick)
    }
}

pace_plugin::export!(Canary: SelectUpstream);
