//! The header of the PROXY protocol, versions 1 and 2, in which a load balancer names the client whose connection it
//! passes on.
//!
//! The source is "The PROXY protocol, Versions 1 & 2", revision of 2020-03-05
//! (<https://www.haproxy.org/download/2.3/doc/proxy-protocol.txt>), to which the section numbers here refer. Parsing is
//! pure: bytes in, a verdict out. The caller must know whether to expect a header, which must never be guessed from the
//! bytes, and only trusted peers may send one (section 2).

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::net::SocketAddr;

use thiserror::Error;

/// The verdict on the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The bytes begin a header, which has at least this many bytes more. A caller that reads no more than those never reads
    /// beyond the header.
    Incomplete(usize),
    /// The bytes begin with a whole header.
    Header {
        /// The length of the header. The bytes behind it belong to the connection that is passed on.
        consumed: usize,
        /// The client's address; an IPv4 address is never in its mapped form. `None` if the connection is the balancer's
        /// own (a health check) or no IP connection, or if the balancer does not know: then the peer's address holds.
        source: Option<SocketAddr>,
    },
    /// The bytes are no header. The connection must be dropped.
    NotProxy,
    /// The header is broken. The connection must be dropped.
    Invalid(Invalid),
}

/// The fault of a header. It is always the sender's.
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

/// Parses the header at the start of `bytes`, which are all that was received so far.
///
/// Bytes that cannot become a header are refused as soon as that is clear. Calls keep no state: after
/// [`Parsed::Incomplete`], call again with all bytes and more.
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

/// Whether two sequences of bytes agree as far as both go.
fn starts_alike(bytes: &[u8], signature: &[u8]) -> bool {
    bytes
        .iter()
        .zip(signature)
        .all(|(byte, expected)| byte == expected)
}

/// An address with IPv4 in place of IPv4 mapped into IPv6.
fn canonical(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}
