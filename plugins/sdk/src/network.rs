//! Networks, for configurations.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// A network of IP addresses, or one address, as a type for a configuration: `"10.0.0.0/8"`,
/// `"2001:db8::/32"`, `"192.0.2.7"`.
///
/// ```
/// use pace_plugin::{Network, parse_config};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     allow: Vec<Network>,
/// }
///
/// let config: Config = parse_config(r#"{"allow": ["10.0.0.0/8", "::1"]}"#).unwrap();
/// assert!(config.allow[0].contains("10.1.2.3".parse().unwrap()));
/// let refusal = parse_config::<Config>(r#"{"allow": ["10.0.0.1/8"]}"#).unwrap_err();
/// assert_eq!(refusal, "allow[0]: `10.0.0.1/8` is an address in the network 10.0.0.0/8: write the one or the other");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether an address belongs to the network. An IPv4 address written as an IPv6 address
    /// (`::ffff:192.0.2.7`) is the IPv4 address.
    ///
    /// ```
    /// # use pace_plugin::Network;
    /// let network: Network = "192.0.2.0/24".parse().unwrap();
    /// assert!(network.contains("::ffff:192.0.2.7".parse().unwrap()));
    /// assert!(!network.contains("198.51.100.7".parse().unwrap()));
    /// ```
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The number of leading bits that the addresses have in common: 0 to 32, or 128 for IPv6.
    ///
    /// ```
    /// # use pace_plugin::Network;
    /// assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().prefix(), 8);
    /// assert_eq!("::1".parse::<Network>().unwrap().prefix(), 128);
    /// ```
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address of the network.
    ///
    /// ```
    /// # use pace_plugin::Network;
    /// let network: Network = "10.0.0.0/8".parse().unwrap();
    /// assert_eq!(network.address().to_string(), "10.0.0.0");
    /// ```
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>(),
        };
        let network =
            parsed.map_err(|_| format!("`{text}` is no network such as `10.0.0.0/8`, and no address"))?;
        // The slip may be in the address or in the length: only its author knows.
        if network.addr() != network.network() {
            let meant = network.trunc();
            return Err(format!(
                "`{text}` is an address in the network {meant}: write the one or the other"
            ));
        }
        Ok(Self(network))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(network: &str, address: &str) -> bool {
        let network: Network = network.parse().expect("a test names a network");
        network.contains(address.parse().expect("a test names an address"))
    }

    #[test]
    fn first_and_last_address_belong_to_a_network_and_their_neighbours_do_not() {
        assert!(has("192.0.2.64/26", "192.0.2.64") && has("192.0.2.64/26", "192.0.2.127"));
        assert!(!has("192.0.2.64/26", "192.0.2.63") && !has("192.0.2.64/26", "192.0.2.128"));
        assert!(has("2001:db8::/32", "2001:db8:ffff::1") && !has("2001:db8::/32", "2001:db9::"));
        assert!(has("0.0.0.0/0", "203.0.113.7") && !has("0.0.0.0/0", "::1"));
    }

    #[test]
    fn malformed_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.0/",
            "::/129",
            "a/8",
            "10.0.0.0/8 ",
        ] {
            assert!(
                text.parse::<Network>()
                    .is_err_and(|error| error.contains("is no network")),
                "{text}"
            );
        }
    }
}
