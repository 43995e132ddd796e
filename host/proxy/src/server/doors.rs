//! The sockets on which connections are accepted: opened at the start, and whenever a configuration has others.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use log::info;
use pace_config::{Config, ListenAddress};
use tokio::sync::watch;

use super::listen::{BindError, Port};
use crate::listeners::{ListenerId, Listeners};

/// The key of a listener's address in messages.
const KEY: &str = "[[listeners]] listen";

/// The same where there is only one, in the short form.
const SHORT_KEY: &str = "[server] listen";

/// A socket that is listened on.
pub(crate) struct Door {
    pub(super) address: ListenAddress,
    pub(super) id: ListenerId,
    pub(super) port: u16,
    pub(super) socket: TcpListener,
}

/// All doors, which workers follow.
#[derive(Default)]
pub struct Doors(watch::Sender<Vec<Arc<Door>>>);

/// What takes the place of the doors that are open.
pub(crate) struct Next(Vec<Arc<Door>>);

/// Ports that nobody can connect to yet.
pub(super) struct Ports(Vec<(ListenAddress, Port)>);

impl Doors {
    /// Those that are open now, and in future.
    pub(super) fn follow(&self) -> watch::Receiver<Vec<Arc<Door>>> {
        self.0.subscribe()
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> io::Result<Vec<(ListenerId, SocketAddr)>> {
        let doors = self.0.borrow();
        doors
            .iter()
            .map(|door| Ok((door.id, door.socket.local_addr()?)))
            .collect()
    }

    /// Opens the doors that a configuration has and that are not open. Nobody is let in before they are [taken](Doors::take).
    pub(crate) fn prepare(&self, config: &Config, listeners: &Listeners) -> Result<Next, BindError> {
        let open = self.0.borrow().clone();
        let keepalive = config.server.connections.tcp_keepalive;
        let mut next = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            next.push(match open.iter().find(|door| door.address == listener.listen) {
                Some(door) => Arc::clone(door),
                None => Arc::new(Door::open(
                    &listener.listen,
                    Port::bind(&listener.listen, keepalive, KEY)?,
                    listeners,
                )?),
            });
        }
        Ok(Next(next))
    }

    /// From now on these are open, and no others.
    pub(crate) fn take(&self, next: Next) {
        let before = self.0.send_replace(next.0);
        let after = self.0.borrow();
        let has = |doors: &[Arc<Door>], one: &Door| doors.iter().any(|door| door.address == one.address);
        for door in before.iter().filter(|door| !has(&after, door)) {
            info!(target: "pace::server", "no longer listening on {}", door.address);
        }
        if !before.is_empty() {
            for door in after.iter().filter(|door| !has(&before, door)) {
                info!(target: "pace::server", "listening on {}", door.address);
            }
        }
    }

    /// From now on none is.
    pub(super) fn close(&self) {
        self.0.send_replace(Vec::new());
    }
}

impl Door {
    fn open(address: &ListenAddress, port: Port, listeners: &Listeners) -> Result<Door, BindError> {
        let socket = port.listen()?;
        let id = listeners.id(address);
        let port = socket.local_addr().map_or(address.port, |bound| bound.port());
        listeners.bound(id, port);
        Ok(Door {
            address: address.clone(),
            id,
            port,
            socket,
        })
    }
}

impl Ports {
    /// Takes the ports that a configuration names.
    pub(super) fn bind(config: &Config) -> Result<Ports, BindError> {
        let keepalive = config.server.connections.tcp_keepalive;
        let key = key(config);
        let addresses = config.listeners.iter().map(|listener| &listener.listen);
        let ports = addresses.map(|address| Ok((address.clone(), Port::bind(address, keepalive, key)?)));
        ports.collect::<Result<_, _>>().map(Ports)
    }

    /// Listens on them.
    pub(super) fn open(self, listeners: &Listeners) -> Result<Next, BindError> {
        let ports = self.0.into_iter();
        let doors = ports.map(|(address, port)| Ok(Arc::new(Door::open(&address, port, listeners)?)));
        doors.collect::<Result<_, _>>().map(Next)
    }
}

/// What messages call the place where a listener's address is written.
pub(super) fn key(config: &Config) -> &'static str {
    match &config.listeners[..] {
        [one] if one.tls.is_none() && one.routes.is_none() => SHORT_KEY,
        _ => KEY,
    }
}
