//! Tells the backend where the client's network is, by a table of networks.
//!
//! | key | | default |
//! |---|---|---|
//! | `places` | a table: a place such as `DE`, and the list of its networks and addresses | required |
//! | `header` | where the backend is told | `"X-Geo-Country"` |
//! | `otherwise` | what it is told of the clients in no network of the table | nothing |
//!
//! The smallest network with the address counts. A header that a client has sent is dropped.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use pace_plugin::{HeaderName, HeaderValue, Network, Plugin, Reply, Request, RequestFilter, Verdict, error};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    places: BTreeMap<HeaderValue, Vec<Network>>,
    header: Option<HeaderName>,
    otherwise: Option<HeaderValue>,
}

/// Networks by length, longest first, then by their first address: a look-up costs as much as there are
/// lengths, however many networks there are.
#[derive(Default)]
struct Table(BTreeMap<std::cmp::Reverse<u8>, HashMap<IpAddr, String>>);

impl Table {
    fn new(places: &BTreeMap<HeaderValue, Vec<Network>>) -> Result<Self, String> {
        let mut table = Self::default();
        for (place, network) in places
            .iter()
            .flat_map(|(place, all)| all.iter().map(move |one| (place, one)))
        {
            let of_length = table.0.entry(std::cmp::Reverse(network.prefix())).or_default();
            if let Some(other) = of_length.insert(network.address(), place.to_string()) {
                return Err(format!("places: {network} is in {place} and in {other}"));
            }
        }
        Ok(table)
    }

    fn place(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        self.0
            .iter()
            .find_map(|(prefix, networks)| Some(networks.get(&cut(address, prefix.0)?)?.as_str()))
    }
}

/// The first address of the network of this length that an address belongs to.
fn cut(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    // The mask of all bits behind the prefix, which are all bits for a prefix of 0.
    match address {
        IpAddr::V4(address) => {
            let rest = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (prefix <= 32).then(|| IpAddr::V4((u32::from(address) & !rest).into()))
        }
        IpAddr::V6(address) => {
            let rest = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Some(IpAddr::V6((u128::from(address) & !rest).into()))
        }
    }
}

struct GeoHeader {
    table: Table,
    header: HeaderName,
    otherwise: Option<HeaderValue>,
}

impl Plugin for GeoHeader {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self {
            table: Table::new(&config.places)?,
            header: config
                .header
                .unwrap_or_else(|| HeaderName::from_static("X-Geo-Country")),
            otherwise: config.otherwise,
        })
    }
}

impl RequestFilter for GeoHeader {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let place = self
            .table
            .place(request.client_address())
            .or(self.otherwise.as_deref());
        let edited = match place {
            Some(place) => request.set_header(&self.header, place),
            None => request.remove_header(&self.header).map(drop),
        };
        match edited {
            Ok(()) => Verdict::Next,
            Err(refused) => {
                // What the client has sent must not reach the backend in its place.
                error!("{}: {refused}", self.header);
                Reply::new(500).into()
            }
        }
    }
}

pace_plugin::export!(GeoHeader: RequestFilter);
