//! TLS towards clients and backends, and the certificates for it.
//!
//! The crate knows nothing of the proxy: no request, no configuration file. Its inputs are plain values, and its
//! results are streams to read from and write to, facts, and reasons.
//!
//! ```text
//! files ──▶ pair ─────────────┐
//!                             ▼
//! authority ──▶ acme ──▶ server::Frontend ──▶ server::accept ──▶ client's stream, facts
//!                 └─ challenges ─┘
//! files ──▶ client::Connector ──▶ connect ──▶ backend's stream
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`pem`], [`certificate`], [`pair`] | certificates and keys: how they are read and checked, and their content |
//! | [`names`] | from a server name to a certificate: exact, wildcard, default |
//! | [`alpn`] | the protocols above TLS |
//! | [`server`] | TLS towards clients |
//! | [`client`] | TLS towards backends |
//! | [`client_cert_header`] | a client's certificate, told to the backend |
//! | [`acme`] | certificates from an authority, ordered and renewed |

use std::io;

pub mod acme;
pub mod alpn;
pub mod certificate;
pub mod client;
pub mod client_cert_header;
pub mod names;
pub mod pair;
pub mod pem;
mod provider;
pub mod server;
mod subject;
#[cfg(test)]
#[path = "../tests/all/testing.rs"]
mod testing;

pub use provider::Version;
pub use rustls::pki_types::{CertificateDer, ServerName};

/// Whether reading failed because the peer ended the connection without the notice that TLS demands. The end is then
/// not to be trusted: only the peer can send the notice, and anybody can end a connection.
pub fn ended_without_notice(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// The library's own error within an I/O error.
fn library_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the bytes that were read cannot begin a record of TLS.
fn is_not_a_record(error: &rustls::InvalidMessage) -> bool {
    use rustls::InvalidMessage::{
        InvalidContentType, InvalidEmptyPayload, MessageTooLarge, UnknownProtocolVersion,
    };
    matches!(
        error,
        InvalidContentType | InvalidEmptyPayload | MessageTooLarge | UnknownProtocolVersion
    )
}
