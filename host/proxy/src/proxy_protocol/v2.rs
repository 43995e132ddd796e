//! Version 2: binary (section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Invalid, Parsed, canonical};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part that every header has: signature, version and command, family, length.
pub(super) const FIXED: usize = 16;

/// `PP2_TYPE_CRC32C` (section 2.2.3).
const CRC32C: u8 = 0x03;

/// Parses a header of version 2. `bytes` must start like the signature.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    match header(bytes) {
        Ok(parsed) => parsed,
        Err(invalid) => Parsed::Invalid(invalid),
    }
}

fn header(bytes: &[u8]) -> Result<Parsed, Invalid> {
    // Each byte is checked as soon as it has come.
    let command = bytes.get(12).map(|&byte| Command::parse(byte)).transpose()?;
    let family = match command {
        // The family byte of a LOCAL header must be ignored.
        Some(Command::Local) => None,
        _ => bytes.get(13).map(|&byte| Family::parse(byte)).transpose()?,
    };
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(Parsed::Incomplete(FIXED - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let addresses = family.map_or(0, Family::length);
    if length < addresses {
        return Err(Invalid::TooShort);
    }
    let consumed = FIXED + length;
    let Some(header) = bytes.get(..consumed) else {
        return Ok(Parsed::Incomplete(consumed - bytes.len()));
    };
    let source = match family {
        // The length of the addresses is unknown, and so is the place of the TLVs.
        None | Some(Family::Unspecified) => None,
        Some(family) => {
            check_tlvs(header, FIXED + addresses)?;
            family.source(&header[FIXED..]).map(canonical)
        }
    };
    Ok(Parsed::Header { consumed, source })
}

#[derive(Clone, Copy)]
enum Command {
    /// The connection is the balancer's own.
    Local,
    /// The balancer passes a client's connection on.
    Proxy,
}

impl Command {
    fn parse(byte: u8) -> Result<Command, Invalid> {
        match (byte >> 4, byte & 0x0f) {
            (2, 0) => Ok(Command::Local),
            (2, 1) => Ok(Command::Proxy),
            (2, _) => Err(Invalid::Command),
            _ => Err(Invalid::Version),
        }
    }
}

/// The family of the addresses.
#[derive(Clone, Copy)]
enum Family {
    /// Nothing is known of the addresses, if there are any.
    Unspecified,
    Ipv4,
    Ipv6,
    Unix,
}

impl Family {
    /// Parses the byte with family and transport. The transport is checked and otherwise does not matter: a balancer that
    /// speaks QUIC with the client and passes TCP on may send DGRAM, and the address is the client's all the same.
    fn parse(byte: u8) -> Result<Family, Invalid> {
        match (byte >> 4, byte & 0x0f) {
            (0, 0..=2) | (1..=3, 0) => Ok(Family::Unspecified),
            (1, 1 | 2) => Ok(Family::Ipv4),
            (2, 1 | 2) => Ok(Family::Ipv6),
            (3, 1 | 2) => Ok(Family::Unix),
            _ => Err(Invalid::Family),
        }
    }

    /// The length of source and destination together, in bytes.
    fn length(self) -> usize {
        match self {
            Family::Unspecified => 0,
            Family::Ipv4 => 12,
            Family::Ipv6 => 36,
            Family::Unix => 216,
        }
    }

    /// The source among the bytes behind the fixed part, of which there are at least [`Family::length`]: source address,
    /// destination address, source port, destination port.
    fn source(self, addresses: &[u8]) -> Option<SocketAddr> {
        match self {
            Family::Unspecified | Family::Unix => None,
            Family::Ipv4 => {
                let address = Ipv4Addr::from(*addresses.first_chunk::<4>()?);
                Some((address, port(addresses, 8)?).into())
            }
            Family::Ipv6 => {
                let address = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
                Some((address, port(addresses, 32)?).into())
            }
        }
    }
}

fn port(addresses: &[u8], position: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*addresses.get(position..)?.first_chunk()?))
}

/// Checks the TLVs, which start at `position`, and verifies the checksum if there is one.
fn check_tlvs(header: &[u8], mut position: usize) -> Result<(), Invalid> {
    let mut checksum = None;
    while position < header.len() {
        let [kind, high, low] = *header[position..].first_chunk().ok_or(Invalid::Tlv)?;
        let value = position + 3;
        position = value + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(value..position).ok_or(Invalid::Tlv)?;
        if kind == CRC32C {
            let sum = <[u8; 4]>::try_from(value).map_err(|_| Invalid::Tlv)?;
            if checksum.replace((position, u32::from_be_bytes(sum))).is_some() {
                return Err(Invalid::Tlv);
            }
        }
    }
    match checksum {
        Some((end, sum)) if sum != checksum_without(header, end) => Err(Invalid::Checksum),
        _ => Ok(()),
    }
}

/// The checksum of a header with zeros in place of the four bytes before `end`.
fn checksum_without(header: &[u8], end: usize) -> u32 {
    !crc32c(crc32c(crc32c(!0, &header[..end - 4]), &[0; 4]), &header[end..])
}

/// Continues a CRC-32C (RFC 4960, appendix B) before its final inversion. It goes bit by bit, because a header is short and
/// comes once per connection.
pub(super) fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    bytes.iter().fold(sum, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg())
        })
    })
}
