//! Pools as the admin API shows them.

use serde::Serialize;
use tokio::time::Instant;

use super::Pool;

/// A pool, as `GET /pools` shows it.
#[derive(Debug, Serialize)]
pub struct PoolStatus {
    name: String,
    /// The requests that wait for a place.
    queued: usize,
    backends: Vec<BackendStatus>,
}

/// A backend, as `GET /pools` shows it.
#[derive(Debug, Serialize)]
pub struct BackendStatus {
    backend: String,
    address: String,
    /// Whether it has to prove its name; `None` without TLS.
    verified: Option<bool>,
    health: &'static str,
    /// The rest of the ejection, in milliseconds.
    ejected_for_ms: Option<u64>,
    backup: bool,
    weight: u32,
    /// The weight that plugins see.
    share: u32,
    in_flight: u32,
    latency_ms: Option<f64>,
}

impl Pool {
    /// The pool as the admin API shows it.
    pub fn status(&self) -> PoolStatus {
        let now = Instant::now();
        let roster = self.roster.lock();
        let members = roster.members(&self.settings.upkeep, now);
        let backends = roster.seats.iter().zip(members).map(|(seat, member)| {
            let ends = seat.backend.conduct().ends();
            let left = ends.map(|ends| ends.saturating_duration_since(now).as_millis());
            BackendStatus {
                backend: seat.backend.label.clone(),
                address: seat.backend.address.to_string(),
                verified: seat.backend.name.as_ref().map(|_| self.settings.tls.verify),
                health: member.health.name(),
                ejected_for_ms: left.map(|left| u64::try_from(left).unwrap_or(u64::MAX)),
                backup: seat.is_backup,
                weight: seat.weight,
                share: member.weight,
                in_flight: seat.backend.in_flight(),
                latency_ms: seat.backend.latency().map(|nanos| nanos as f64 / 1e6),
            }
        });
        PoolStatus {
            name: self.name.clone(),
            queued: self.queue.len(),
            backends: backends.collect(),
        }
    }
}
