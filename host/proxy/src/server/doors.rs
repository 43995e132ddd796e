//! The sockets on which connections are accepted: opened at the start, and whenever a configuration has others.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use log::info;
use pace_config::listener::Listener;
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
    is_encrypted: bool,
}

/// All doors, which workers follow.
#[derive(Default)]
pub struct Doors(watch::Sender<Vec<Arc<Door>>>);

/// What takes the place of the doors that are open.
pub(crate) struct Next(Vec<Arc<Door>>);

/// Ports that nobody can connect to yet.
pub(super) struct Ports(Vec<(Listener, Port)>);

impl Doors {
    /// Those that are open now, and in future.
    pub(super) fn follow(&self) -> watch::Receiver<Vec<Arc<Door>>> {
        self.0.subscribe()
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> io::Result<Vec<(SocketAddr, bool)>> {
        let doors = self.0.borrow();
        doors
            .iter()
            .map(|door| Ok((door.socket.local_addr()?, door.is_encrypted)))
            .collect()
    }

    /// Opens the doors that a configuration has and that are not open. Nobody is let in before they are [taken](Doors::take).
    pub(crate) fn prepare(&self, config: &Config, listeners: &Listeners) -> Result<Next, BindError> {
        let open = self.0.borrow().clone();
        let keepalive = config.server.connections.tcp_keepalive;
        let mut next = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let same = open
                .iter()
                .find(|door| door.address == listener.listen && door.is_encrypted == listener.tls.is_some());
            next.push(match same {
                Some(door) => Arc::clone(door),
                None => match open.iter().find(|door| door.address == listener.listen) {
                    // It speaks something else from now on, on the same socket.
                    Some(door) => Arc::new(door.speaking(listener)?),
                    None => Arc::new(Door::open(listener, bind(listener, keepalive, KEY)?, listeners)?),
                },
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
    fn open(listener: &Listener, port: Port, listeners: &Listeners) -> Result<Door, BindError> {
        let socket = port.listen()?;
        let id = listeners.id(&listener.listen);
        let bound = socket
            .local_addr()
            .map_or(listener.listen.port, |address| address.port());
        listeners.bound(id, bound);
        Ok(Door {
            address: listener.listen.clone(),
            id,
            port: bound,
            socket,
            is_encrypted: listener.tls.is_some(),
        })
    }

    fn speaking(&self, listener: &Listener) -> Result<Door, BindError> {
        let socket = self.socket.try_clone();
        Ok(Door {
            address: self.address.clone(),
            id: self.id,
            port: self.port,
            socket: socket.map_err(|error| BindError::new(&self.address, KEY, &error))?,
            is_encrypted: listener.tls.is_some(),
        })
    }
}

impl Ports {
    /// Takes the ports that a configuration names.
    pub(super) fn bind(config: &Config) -> Result<Ports, BindError> {
        let keepalive = config.server.connections.tcp_keepalive;
        let key = key(config);
        let bind = |listener: &Listener| Ok((listener.clone(), bind(listener, keepalive, key)?));
        config
            .listeners
            .iter()
            .map(bind)
            .collect::<Result<_, _>>()
            .map(Ports)
    }

    /// Listens on them.
    pub(super) fn open(self, listeners: &Listeners) -> Result<Next, BindError> {
        let doors = self.0.into_iter();
        let doors = doors.map(|(listener, port)| Ok(Arc::new(Door::open(&listener, port, listeners)?)));
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

fn bind(listener: &Listener, keepalive: Option<Duration>, key: &'static str) -> Result<Port, BindError> {
    Port::bind(&listener.listen, keepalive, key)
}
