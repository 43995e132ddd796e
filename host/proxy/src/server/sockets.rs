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

/// The key in the short form, which has one listener.
const SHORT_KEY: &str = "[server] listen";

/// A socket on which connections are accepted.
pub(crate) struct ListeningSocket {
    pub(super) address: ListenAddress,
    pub(super) id: ListenerId,
    pub(super) port: u16,
    pub(super) listener: TcpListener,
}

/// All open sockets, which workers follow.
#[derive(Default)]
pub struct ListeningSockets(watch::Sender<Vec<Arc<ListeningSocket>>>);

/// The sockets that replace those that are open.
pub(crate) struct Next(Vec<Arc<ListeningSocket>>);

/// Ports that nobody can connect to yet.
pub(super) struct Ports(Vec<(ListenAddress, Port)>);

impl ListeningSockets {
    /// The sockets that are open now, and those of the future.
    pub(super) fn follow(&self) -> watch::Receiver<Vec<Arc<ListeningSocket>>> {
        self.0.subscribe()
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> io::Result<Vec<(ListenerId, SocketAddr)>> {
        let sockets = self.0.borrow();
        sockets
            .iter()
            .map(|socket| Ok((socket.id, socket.listener.local_addr()?)))
            .collect()
    }

    /// Opens the sockets that a configuration needs and that are not open. Nothing is accepted on them before
    /// they are [taken](ListeningSockets::take).
    pub(crate) fn prepare(&self, config: &Config, listeners: &Listeners) -> Result<Next, BindError> {
        let open = self.0.borrow().clone();
        let keepalive = config.server.connections.tcp_keepalive;
        let mut next = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            next.push(
                match open.iter().find(|socket| socket.address == listener.listen) {
                    Some(socket) => Arc::clone(socket),
                    None => Arc::new(ListeningSocket::open(
                        &listener.listen,
                        Port::bind(&listener.listen, keepalive, KEY)?,
                        listeners,
                    )?),
                },
            );
        }
        Ok(Next(next))
    }

    /// Makes these the open sockets, and closes all others.
    pub(crate) fn take(&self, next: Next) {
        let before = self.0.send_replace(next.0);
        let after = self.0.borrow();
        let has = |sockets: &[Arc<ListeningSocket>], one: &ListeningSocket| {
            sockets.iter().any(|socket| socket.address == one.address)
        };
        for socket in before.iter().filter(|socket| !has(&after, socket)) {
            info!(target: "pace::server", "no longer listening on {}", socket.address);
        }
        if !before.is_empty() {
            for socket in after.iter().filter(|socket| !has(&before, socket)) {
                info!(target: "pace::server", "listening on {}", socket.address);
            }
        }
    }

    /// Closes all sockets.
    pub(super) fn close(&self) {
        self.0.send_replace(Vec::new());
    }
}

impl ListeningSocket {
    fn open(
        address: &ListenAddress,
        port: Port,
        listeners: &Listeners,
    ) -> Result<ListeningSocket, BindError> {
        let listener = port.listen()?;
        let id = listeners.id(address);
        let port = listener.local_addr().map_or(address.port, |bound| bound.port());
        listeners.bound(id, port);
        Ok(ListeningSocket {
            address: address.clone(),
            id,
            port,
            listener,
        })
    }
}

impl Ports {
    /// Binds the ports that a configuration names.
    pub(super) fn bind(config: &Config) -> Result<Ports, BindError> {
        let keepalive = config.server.connections.tcp_keepalive;
        let key = key(config);
        let addresses = config.listeners.iter().map(|listener| &listener.listen);
        let ports = addresses.map(|address| Ok((address.clone(), Port::bind(address, keepalive, key)?)));
        ports.collect::<Result<_, _>>().map(Ports)
    }

    /// Listens on the ports.
    pub(super) fn open(self, listeners: &Listeners) -> Result<Next, BindError> {
        let ports = self.0.into_iter();
        let sockets =
            ports.map(|(address, port)| Ok(Arc::new(ListeningSocket::open(&address, port, listeners)?)));
        sockets.collect::<Result<_, _>>().map(Next)
    }
}

/// The key of a listener's address, as messages call it.
pub(super) fn key(config: &Config) -> &'static str {
    match &config.listeners[..] {
        [one] if one.tls.is_none() && one.routes.is_none() => SHORT_KEY,
        _ => KEY,
    }
}
