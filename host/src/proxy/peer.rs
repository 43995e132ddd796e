//! A backend as Pingora wants it.

use pingora::upstreams::peer::HttpPeer;

use crate::upstream::{Backend, Pool};

/// Where to send an attempt, and how long each step may take.
pub(super) fn peer(pool: &Pool, backend: &Backend) -> HttpPeer {
    let mut peer = HttpPeer::new(backend.address, false, String::new());
    peer.options.connection_timeout = Some(pool.connect_timeout);
    peer.options.read_timeout = Some(pool.response_timeout);
    peer.options.write_timeout = Some(pool.response_timeout);
    peer.options.idle_timeout = Some(pool.idle_timeout);
    peer
}
