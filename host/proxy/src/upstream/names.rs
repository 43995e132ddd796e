//! Looks up the addresses of backends' names.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use pace_config::{BackendTls, Host};
use pace_tls::ServerName;

/// Looks up a name: returns all its addresses, each with the given port. A call may block.
///
/// Lookups are a parameter, so that tests decide which names exist.
pub type Lookup<'a> = &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Looks a name up with the system's resolver, which uses `/etc/hosts` and DNS as the system is set up.
pub fn system_lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The addresses of a server, sorted and without duplicates: resolvers change the order with each answer, and plugins begin
/// anew when backends change.
pub(super) fn addresses(server: &pace_config::Backend, lookup: Lookup<'_>) -> io::Result<Vec<SocketAddr>> {
    let name = match &server.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, server.port)]),
        Host::Name(name) => name,
    };
    let mut addresses = lookup(name, server.port)?;
    addresses.sort_unstable();
    addresses.dedup();
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        false => Ok(addresses),
    }
}

/// The name that a server with TLS proves to have; `None` for one without.
pub(super) fn server_name(server: &pace_config::Backend, tls: &BackendTls) -> Option<ServerName<'static>> {
    if !server.is_encrypted {
        return None;
    }
    match (&tls.server_name, &server.host) {
        // A name of a host that the configuration has taken is one of DNS.
        (Some(name), _) | (None, Host::Name(name)) => ServerName::try_from(name.clone()).ok(),
        (None, Host::Ip(ip)) => Some(ServerName::IpAddress((*ip).into())),
    }
}
