//! The header of the PROXY protocol, versions 1 and 2, by which a load balancer says whose connection
//! it passes on.
//!
//! Written after "The PROXY protocol, Versions 1 & 2", revision of 2020-03-05
//! (<https://www.haproxy.org/download/2.3/doc/proxy-protocol.txt>), to which the section numbers here
//! refer. Pure: bytes in, a verdict out. Whether a header is expected is for the caller to know and
//! never to be guessed from the bytes, and only trusted peers may send one (section 2).

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::net::SocketAddr;

use thiserror::Error;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header. It has at least so many bytes more: who reads no more than those
    /// never reads what comes after the header.
    Incomplete(usize),
    /// A whole header.
    Header {
        /// Its length. What follows belongs to the connection that is passed on.
        consumed: usize,
        /// Whose connection it is; an IPv4 address is never in its mapped form. `None` if it is the
        /// balancer's own (a health check), or the balancer cannot say or it is no IP connection:
        /// then the peer's address holds.
        source: Option<SocketAddr>,
    },
    /// Something else. The connection must be dropped.
    NotProxy,
    /// A broken header. The connection must be dropped.
    Invalid(Invalid),
}

/// What is wrong with a header. Always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Version 1: no CRLF within 107 bytes.
    #[error("no end of line within 107 bytes")]
    LineTooLong,
    /// Version 1: CR without LF, or LF without CR.
    #[error("the line does not end with CR and LF")]
    LineEnd,
    /// Version 1: neither `TCP4`, `TCP6` nor `UNKNOWN`.
    #[error("the protocol is not TCP4, TCP6 or UNKNOWN")]
    Protocol,
    /// Version 1: source or destination is not an address of the family.
    #[error("an address is not one of its family")]
    Address,
    /// Version 1: a port is not a number up to 65535 without leading zeros.
    #[error("a port is not a number from 0 to 65535")]
    Port,
    /// Version 1: fields are missing or there are too many.
    #[error("the line does not have two addresses and two ports")]
    Fields,
    /// Version 2: another version than 2.
    #[error("the version is not 2")]
    Version,
    /// Version 2: neither LOCAL nor PROXY.
    #[error("the command is not LOCAL or PROXY")]
    Command,
    /// Version 2: an address family or transport that the protocol does not have.
    #[error("the address family or transport is not one that is defined")]
    Family,
    /// Version 2: shorter than its addresses.
    #[error("the header is too short for its addresses")]
    TooShort,
    /// Version 2: a TLV goes past the end of the header, or is a checksum that is not four bytes long
    /// or not the only one.
    #[error("the TLVs are malformed")]
    Tlv,
    /// Version 2: the checksum in the header is not that of the header.
    #[error("the checksum is wrong")]
    Checksum,
}

/// Parse the header at the start of `bytes`, which are all that was received so far.
///
/// Bytes that cannot become a header are refused as soon as that is clear. Nothing is kept between
/// calls: after [`Parsed::Incomplete`], call again with more.
pub fn parse(bytes: &[u8]) -> Parsed {
    if bytes.is_empty() {
        Parsed::Incomplete(v1::SHORTEST)
    } else if starts_alike(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else if starts_alike(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else {
        Parsed::NotProxy
    }
}

/// Whether the bytes are the same as far as both go.
fn starts_alike(bytes: &[u8], signature: &[u8]) -> bool {
    bytes
        .iter()
        .zip(signature)
        .all(|(byte, expected)| byte == expected)
}

/// With IPv4 in place of IPv4 mapped into IPv6.
fn canonical(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}
