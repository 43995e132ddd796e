//! The meaning of the configuration, and the answer to a client over its limit.

use std::time::Duration;

use pace_plugin::{Full, Integer, Key, Reply, header};
use serde::Deserialize;

/// The configuration as the operator writes it. The crate's documentation has the meaning of each key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    max_requests: Integer<1, { u32::MAX as u64 }>,
    window_seconds: Integer<1, { 7 * 24 * 60 * 60 }>,
    key: KeySource,
    ipv4_prefix: Integer<0, 32>,
    ipv6_prefix: Integer<0, 128>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_requests: Integer::new(100),
            window_seconds: Integer::new(60),
            key: KeySource::ClientIp,
            ipv4_prefix: Integer::new(32),
            // A client with one IPv6 address has a whole /64, the smallest network that is assigned (RFC
            // 6177), and takes new addresses from it at will (RFC 8981). A limit by address would be none.
            ipv6_prefix: Integer::new(64),
        }
    }
}

/// The key `key` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum KeySource {
    ClientIp,
    Header(String),
}

impl TryFrom<String> for KeySource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("header:") {
            Some(name) if header::is_token(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(name) => Err(format!("`{name}` is not the name of a header")),
            None if text == "client_ip" => Ok(Self::ClientIp),
            None => Err(format!(
                "unknown value `{text}`, expected `client_ip` or `header:NAME`"
            )),
        }
    }
}

/// The configuration as the plugin uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub max_requests: u32,
    pub window: Duration,
    pub client: Client,
}

/// The client whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    Address,
    Network(Network),
    Header { name: String, otherwise: Network },
}

/// The leading bits of an address that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ipv4_prefix: u8,
    ipv6_prefix: u8,
}

impl Network {
    const WHOLE_ADDRESS: Self = Self {
        ipv4_prefix: 32,
        ipv6_prefix: 128,
    };
}

impl From<Network> for Key<'_> {
    fn from(network: Network) -> Self {
        Key::ClientNetwork {
            ipv4: network.ipv4_prefix,
            ipv6: network.ipv6_prefix,
        }
    }
}

impl From<Config> for Limit {
    fn from(config: Config) -> Self {
        // The casts lose nothing: the bounds of the integers are within those of the types.
        let network = Network {
            ipv4_prefix: config.ipv4_prefix.get() as u8,
            ipv6_prefix: config.ipv6_prefix.get() as u8,
        };
        Self {
            max_requests: config.max_requests.get() as u32,
            window: Duration::from_secs(config.window_seconds.get()),
            client: match config.key {
                KeySource::Header(name) => Client::Header {
                    name,
                    otherwise: network,
                },
                KeySource::ClientIp if network == Network::WHOLE_ADDRESS => Client::Address,
                KeySource::ClientIp => Client::Network(network),
            },
        }
    }
}

impl Limit {
    /// The answer to a client that has to wait.
    ///
    /// `Retry-After` is RFC 9110's. The `RateLimit-*` fields are those of
    /// draft-ietf-httpapi-ratelimit-headers-07, the last draft with one field for each number, which clients
    /// understand today.
    pub fn deny(&self, full: Full) -> Reply {
        // The window counts in steps and may hold a request a step too long. An exact answer would be "61"
        // for a window of 60 seconds.
        let seconds = full.retry_after().min(self.window.as_secs().max(1)).to_string();
        Reply::new(429)
            .header("Retry-After", seconds.as_str())
            .header("RateLimit-Limit", self.max_requests.to_string())
            .header("RateLimit-Remaining", "0")
            .header("RateLimit-Reset", seconds)
            .header("Content-Type", "text/plain")
            .body("Too many requests.\n")
    }
}

#[cfg(test)]
mod tests;
