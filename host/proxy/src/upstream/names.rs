//! From names to addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use pace_config::Host;

/// How names become addresses: all that a name has, for a port. It may take its time.
///
/// A parameter, so that tests decide what exists.
pub type Lookup<'a> = &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The system's resolver, which asks `/etc/hosts` and DNS as the system is set up.
pub fn system_lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The addresses of a server, each once and in the order of addresses: resolvers change theirs with each answer, and plugins
/// begin anew when backends change.
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
