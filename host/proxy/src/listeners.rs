//! The state of listeners that outlives every configuration.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use pace_config::ListenAddress;
use pace_tls::acme::Challenges;
use pace_tls::client::{self, RootCertStore};
use pace_tls::pair::Pair;
use pace_tls::server::Tickets;
use parking_lot::Mutex;

use crate::server::ListeningSockets;

/// The number of a listener: an address keeps its number for as long as the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerId(usize);

impl ListenerId {
    /// The number itself.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The state of all listeners, which a reload keeps.
#[derive(Default)]
pub struct Listeners {
    known: Mutex<Vec<Known>>,
    /// The sockets.
    sockets: ListeningSockets,
    /// The keys with which sessions are resumed, also after a reload.
    tickets: Tickets,
    /// Answers for an authority that is about to issue a certificate.
    challenges: Arc<Challenges>,
    /// The authorities of the system, once a pool has needed them.
    roots: OnceLock<Result<Arc<RootCertStore>, client::NoRoots>>,
    /// The certificate that an authority has issued.
    ordered: ArcSwapOption<Pair>,
}

/// An address that is or was listened on.
struct Known {
    address: ListenAddress,
    port: Arc<AtomicU16>,
}

impl Listeners {
    /// The number of an address. An address without one is given the next.
    pub fn id(&self, address: &ListenAddress) -> ListenerId {
        let mut known = self.known.lock();
        let index = known.iter().position(|known| known.address == *address);
        ListenerId(index.unwrap_or_else(|| {
            known.push(Known {
                address: address.clone(),
                port: Arc::new(AtomicU16::new(address.port)),
            });
            known.len() - 1
        }))
    }

    /// The port of a listener, which differs from the configured one if that is 0.
    pub fn port(&self, id: ListenerId) -> Arc<AtomicU16> {
        Arc::clone(&self.known.lock()[id.0].port)
    }

    /// Records the port that a listener was bound to.
    pub fn bound(&self, id: ListenerId, port: u16) {
        self.port(id).store(port, Ordering::Relaxed);
    }

    /// The sockets.
    pub fn sockets(&self) -> &ListeningSockets {
        &self.sockets
    }

    /// Answers for an authority.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// The authorities that the system trusts, which are read once.
    pub(crate) fn system_roots(&self) -> Result<Arc<RootCertStore>, String> {
        let roots = self.roots.get_or_init(client::system_roots);
        roots.clone().map_err(|error| error.to_string())
    }

    /// The keys with which sessions of clients are resumed.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The certificate that an authority has issued.
    pub(crate) fn ordered(&self) -> Option<Arc<Pair>> {
        self.ordered.load_full()
    }

    /// Makes frontends that are loaded from now on use this certificate, too.
    pub fn set_ordered(&self, pair: Option<Arc<Pair>>) {
        self.ordered.store(pair);
    }
}
