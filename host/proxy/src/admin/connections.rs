//! Connections, as the admin API shows them.

use http::Response;
use serde::Serialize;

use super::json;
use crate::proxy::{BackendConnections, Held, HeldConnections};
use crate::snapshot::Snapshot;
use crate::telemetry::{ClientConnections, ConnectionCounts, ProtocolCounts};
use crate::upstream::Pool;

/// All connections, as `GET /connections` shows them.
#[derive(Serialize)]
struct Connections {
    listeners: Vec<ListenerStatus>,
    pools: Vec<PoolStatus>,
}

/// The connections of clients to a listener.
#[derive(Serialize)]
struct ListenerStatus {
    listener: String,
    /// Whether the configuration has the listener: one that it had before is shown as long as clients are connected.
    configured: bool,
    open: u64,
    /// Connections whose protocol is not known yet: in the handshake of TLS, or before a PROXY header.
    beginning: u64,
    http1: ProtocolStatus,
    http2: ProtocolStatus,
    /// Upgraded connections of HTTP/1.
    upgraded: u64,
}

/// The connections of one protocol.
#[derive(Serialize)]
struct ProtocolStatus {
    open: u64,
    active: u64,
    idle: u64,
    requests: u64,
}

/// The connections to the backends of a pool.
#[derive(Serialize)]
struct PoolStatus {
    pool: String,
    backends: Vec<BackendStatus>,
}

/// The connections to a backend.
#[derive(Serialize)]
struct BackendStatus {
    backend: String,
    /// Connections of HTTP/1 that have a request, or are being made for one.
    in_use: usize,
    /// Connections of HTTP/1 that wait for a request.
    idle: usize,
    /// Connections of HTTP/2.
    sessions: usize,
    /// The requests on these.
    streams: usize,
}

/// The connections of clients by listener, and those to backends by pool.
pub(super) fn list(
    snapshot: &Snapshot,
    clients: &ClientConnections,
    backends: &BackendConnections,
) -> Response<Vec<u8>> {
    let listeners = clients.list().into_iter().map(|(address, counts)| {
        let mut known = snapshot.config.listeners.iter();
        let configured = known.any(|listener| listener.listen.to_string() == address);
        listener(address, configured, counts)
    });
    let mut pools: Vec<_> = snapshot.pools().collect();
    pools.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let held = backends.count();
    json(&Connections {
        listeners: listeners
            .filter(|listener| listener.configured || listener.open > 0)
            .collect(),
        pools: pools.into_iter().map(|each| pool(each, &held)).collect(),
    })
}

fn listener(listener: String, configured: bool, counts: ConnectionCounts) -> ListenerStatus {
    let ConnectionCounts {
        open,
        http1,
        http2,
        upgraded,
    } = counts;
    ListenerStatus {
        listener,
        configured,
        open,
        beginning: open.saturating_sub(http1.open + http2.open),
        http1: protocol(http1),
        http2: protocol(http2),
        upgraded,
    }
}

fn protocol(counts: ProtocolCounts) -> ProtocolStatus {
    let ProtocolCounts {
        open,
        active,
        requests,
    } = counts;
    ProtocolStatus {
        open,
        active,
        idle: open.saturating_sub(active),
        requests,
    }
}

fn pool(pool: &Pool, held: &HeldConnections) -> PoolStatus {
    let members = pool.members();
    let backends = members.iter().map(|member| {
        let backend = &member.backend;
        let Held {
            idle,
            sessions,
            streams,
        } = held.of(pool, backend);
        BackendStatus {
            backend: backend.label.clone(),
            // A request has a connection of its own, or a stream.
            in_use: (backend.in_flight() as usize).saturating_sub(streams),
            idle,
            sessions,
            streams,
        }
    });
    PoolStatus {
        pool: pool.name.clone(),
        backends: backends.collect(),
    }
}
