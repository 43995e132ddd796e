//! The client's address: the peer of the connection, or the address that a trusted proxy names; and the certificate that the
//! peer has shown.
//!
//! Every proxy appends the address of its own peer to `X-Forwarded-For`. The last entry of the field therefore comes from
//! our peer, the entry before it from that proxy's peer, and so on to the first, which is whatever the client sent. Each
//! entry is as credible as its writer: a reader that starts from the right and stops at the first address that is not a
//! trusted proxy reads nothing that a client made up.

mod certificate;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{HeaderValue, InvalidHeaderValue};
use ipnet::{IpNet, Ipv4Net};

pub use certificate::ShownCertificate;

/// The proxies that are trusted to name the client (`[server] trusted_proxies`).
///
/// IPv4 mapped into IPv6 is IPv4, in networks (`::ffff:10.0.0.0/104`) as in addresses. Apart from
/// that the families are separate: `::/0` has no IPv4 address in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether this address is a trusted proxy's. `false` for every address if there are none.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> TrustedProxies {
        TrustedProxies(networks.into_iter().map(canonical).collect())
    }
}

/// The address of the client; an IPv4 address is never in its mapped form.
///
/// `peer` is the address at the other end of the connection (or the one that a PROXY header names), `forwarded_for` the
/// values of the `X-Forwarded-For` fields in the order in which they came.
///
/// A peer that is not trusted is the client, whatever the fields say. Otherwise the entries are read from right to left over
/// all fields:
///
/// - A trusted address is a further proxy, and the entry before it is read.
/// - The first address that is not trusted is the client.
/// - An entry that is not an address (`unknown`, `_hidden`) ends the reading. Its writer does not name its peer, so the
///   writer is taken for the client.
/// - If all are trusted, the leftmost is the client: the request comes from inside.
///
/// Nginx decides the same way with `real_ip_recursive on`. An entry may have a port (`192.0.2.7:80`,
/// `[2001:db8::7]:80`) and brackets; empty ones are passed over (RFC 9110, section 5.6.1.2).
pub fn client_address<'a>(
    peer: IpAddr,
    trusted: &TrustedProxies,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trusted.contains(client) {
        return client;
    }
    for entry in forwarded_for
        .rev()
        .flat_map(|value| value.rsplit(|&byte| byte == b','))
    {
        let entry = trim(entry);
        if entry.is_empty() {
            continue;
        }
        let Some(address) = entry_address(entry) else {
            break;
        };
        client = address.to_canonical();
        if !trusted.contains(client) {
            break;
        }
    }
    client
}

/// The value of `X-Forwarded-For` for the backend: the peer's address, and before it the peer's own fields, if the peer is
/// trusted. Fields of other peers are dropped, and `fields` is not called for them.
///
/// The entries of a trusted peer are passed on as they are. The backend must read them from the right, too. The error is for
/// fields that were no header values.
pub fn forwarded_for<'a, Fields>(
    peer: IpAddr,
    trusted: &TrustedProxies,
    fields: impl FnOnce() -> Fields,
) -> Result<HeaderValue, InvalidHeaderValue>
where
    Fields: Iterator<Item = &'a [u8]>,
{
    let own = address_value(peer);
    if !trusted.contains(peer) {
        return Ok(own);
    }
    let mut value = Vec::with_capacity(64);
    for field in fields().map(trim).filter(|field| !field.is_empty()) {
        value.extend_from_slice(field);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(own.as_bytes());
    HeaderValue::try_from(value)
}

/// An address as the value of a header; an IPv4 address is never in its mapped form.
fn address_value(address: IpAddr) -> HeaderValue {
    thread_local! {
        /// The addresses that this thread has seen lately. Clients send many requests, and looking an address up costs a
        /// tenth of formatting it.
        static LATELY: RefCell<[Option<(IpAddr, HeaderValue)>; PLACES]> =
            const { RefCell::new([const { None }; PLACES]) };
    }
    const PLACES: usize = 64;

    let address = address.to_canonical();
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[7] ^ address.octets()[15],
    };
    LATELY.with_borrow_mut(|lately| {
        let place = &mut lately[usize::from(last) % PLACES];
        match place {
            Some((known, value)) if *known == address => value.clone(),
            _ => {
                let text = address.to_string();
                let value = HeaderValue::try_from(text).expect("an address has only visible characters");
                *place = Some((address, value.clone()));
                value
            }
        }
    })
}

/// A network, as an IPv4 network if it lies within `::ffff:0:0/96`.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(ipv4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        return IpNet::V4(Ipv4Net::new_assert(ipv4, length));
    }
    network
}

/// An entry without the spaces and tabs around it.
fn trim(mut entry: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = entry {
        entry = rest;
    }
    entry
}

fn entry_address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    if let Ok(address) = entry.parse() {
        return Some(address);
    }
    if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
            return None;
        }
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let (address, port) = entry.split_once(':')?;
    if !is_port(port) {
        return None;
    }
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn is_port(text: &str) -> bool {
    // `parse` alone would accept a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
