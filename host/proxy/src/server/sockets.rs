//! The sockets on which connections are accepted: opened at the start, and whenever a configuration has others.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use log::info;
use pace_config::{Config, ListenAddress};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::handover::{Description, Given};
use super::inherited::{Bound, Inherited, InheritedSocket, Use};
use super::listen::{BindError, Listening, Port, find};
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
    /// The unit of systemd that keeps the socket open, if one does.
    pub(super) unit: Option<String>,
}

/// All open sockets, which workers follow.
#[derive(Default)]
pub struct ListeningSockets {
    open: watch::Sender<Vec<Arc<ListeningSocket>>>,
    /// The sockets of systemd that the configuration has no use for at present.
    spare: Mutex<Inherited>,
}

/// The sockets that replace those that are open.
pub(crate) struct Next(Vec<Arc<ListeningSocket>>);

/// Ports that nobody can connect to yet.
pub(super) struct Ports(Vec<Port>);

impl ListeningSockets {
    /// The sockets that are open now, and those of the future.
    pub(super) fn follow(&self) -> watch::Receiver<Vec<Arc<ListeningSocket>>> {
        self.open.subscribe()
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> io::Result<Vec<(ListenerId, SocketAddr)>> {
        let sockets = self.open.borrow();
        sockets
            .iter()
            .map(|socket| Ok((socket.id, socket.listener.local_addr()?)))
            .collect()
    }

    /// Opens the sockets that a configuration needs and that are not open. Nothing is accepted on them before
    /// they are [taken](ListeningSockets::take).
    pub(crate) fn prepare(&self, config: &Config, listeners: &Listeners) -> Result<Next, BindError> {
        let open = self.open.borrow().clone();
        let keepalive = config.server.connections.tcp_keepalive;
        let mut next = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            next.push(
                match open.iter().find(|socket| socket.address == listener.listen) {
                    Some(socket) => Arc::clone(socket),
                    None => {
                        let inherited =
                            inherited(&mut self.spare.lock(), Use::Public, &listener.listen, KEY)?;
                        let port = Port::bind(&listener.listen, keepalive, KEY, inherited)?;
                        Arc::new(ListeningSocket::open(port, listeners)?)
                    }
                },
            );
        }
        Ok(Next(next))
    }

    /// Makes these the open sockets, and closes all others.
    pub(crate) fn take(&self, next: Next) {
        let before = self.open.send_replace(next.0);
        let after = self.open.borrow();
        let has = |sockets: &[Arc<ListeningSocket>], one: &ListeningSocket| {
            sockets.iter().any(|socket| socket.address == one.address)
        };
        for socket in before.iter().filter(|socket| !has(&after, socket)) {
            info!(target: "pace::server", "no longer listening on {}", socket.address);
            self.keep(socket);
        }
        if !before.is_empty() {
            for socket in after.iter().filter(|socket| !has(&before, socket)) {
                info!(target: "pace::server", "listening on {}", socket.address);
            }
        }
    }

    /// Keeps a socket that is in no use any more, if systemd has it open and a later configuration may need it.
    fn keep(&self, socket: &ListeningSocket) {
        let Some(unit) = &socket.unit else { return };
        // Without a descriptor a configuration that wants the address again is refused.
        let Ok(copy) = socket.listener.try_clone() else {
            return;
        };
        if let Ok(spare) = InheritedSocket::new(copy.into(), Some(unit.clone()), None) {
            spare.warn();
            self.spare.lock().keep(spare);
        }
    }

    /// Keeps the sockets of systemd that the first configuration has no use for.
    pub(super) fn keep_rest(&self, rest: Inherited) {
        *self.spare.lock() = rest;
    }

    /// Copies of all sockets, for the process that takes this one's place.
    pub(super) fn given(&self) -> io::Result<Vec<Given>> {
        let open = self.open.borrow();
        let used = open.iter().map(|socket| {
            Ok(Given {
                socket: socket.listener.try_clone()?.into(),
                description: Description {
                    had: Some((Use::Public, socket.address.to_string())),
                    unit: socket.unit.clone(),
                },
            })
        });
        let spare = self.spare.lock();
        let unused = spare.iter().map(|socket| {
            Ok(Given {
                socket: socket.socket.try_clone()?.into(),
                description: Description {
                    had: None,
                    unit: socket.unit.clone(),
                },
            })
        });
        used.chain(unused).collect()
    }

    /// Closes all sockets.
    pub(super) fn close(&self) {
        self.open.send_replace(Vec::new());
    }
}

impl ListeningSocket {
    fn open(port: Port, listeners: &Listeners) -> Result<ListeningSocket, BindError> {
        let Listening {
            listener,
            address,
            unit,
        } = port.listen()?;
        let id = listeners.id(&address);
        let port = listener.local_addr().map_or(address.port, |bound| bound.port());
        listeners.bound(id, port);
        Ok(ListeningSocket {
            address,
            id,
            port,
            listener,
            unit,
        })
    }
}

impl Ports {
    /// Binds the ports that a configuration names and that were not inherited.
    pub(super) fn bind(config: &Config, inherited: &mut Inherited) -> Result<Ports, BindError> {
        let keepalive = config.server.connections.tcp_keepalive;
        let key = key(config);
        let addresses = config.listeners.iter().map(|listener| &listener.listen);
        let ports = addresses.map(|address| {
            let socket = self::inherited(inherited, Use::Public, address, key)?;
            Port::bind(address, keepalive, key, socket)
        });
        ports.collect::<Result<_, _>>().map(Ports)
    }

    /// Listens on the ports.
    pub(super) fn open(self, listeners: &Listeners) -> Result<Next, BindError> {
        let sockets = self.0.into_iter();
        let sockets = sockets.map(|port| Ok(Arc::new(ListeningSocket::open(port, listeners)?)));
        sockets.collect::<Result<_, _>>().map(Next)
    }
}

/// The inherited socket for an address, if there is one.
pub(super) fn inherited(
    inherited: &mut Inherited,
    purpose: Use,
    address: &ListenAddress,
    key: &'static str,
) -> Result<Option<InheritedSocket>, BindError> {
    match inherited.is_empty() {
        true => Ok(None),
        false => {
            let found = Bound::Tcp(find(address, key)?);
            Ok(inherited.take(purpose, &address.to_string(), &found))
        }
    }
}

/// The key of a listener's address, as messages call it.
pub(super) fn key(config: &Config) -> &'static str {
    match &config.listeners[..] {
        [one] if one.tls.is_none() && one.routes.is_none() => SHORT_KEY,
        _ => KEY,
    }
}
