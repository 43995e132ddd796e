//! The share of a route's requests that is copied to a second pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pace_config::route::{SHARE_OF_ALL, Timeouts};

use super::{Action, Forward, Route, Split};
use crate::chain::Chain;
use crate::telemetry::MirrorMetrics;
use crate::upstream::Pool;

/// Where copies of requests go, and how many.
pub struct Mirror {
    /// The route of the copies, whose only plugin chooses backends.
    pub route: Arc<Route>,
    /// The counters of the copies.
    pub metrics: MirrorMetrics,
    share: u32,
    max_in_flight: u32,
    in_flight: Arc<AtomicU32>,
}

/// A copy on its way, which counts as in flight until this is dropped.
pub struct MirrorPlace(Arc<AtomicU32>);

/// The longest time of a copy, where neither the route nor the pool has a limit. Nobody waits for its response, so nothing else
/// would end one that never ends.
const LONGEST: Duration = Duration::from_secs(60);

impl Mirror {
    /// The mirror of a route. `chain` chooses among the backends of `pool`, and `in_flight` counts the copies on their way.
    pub fn new(
        route: &pace_config::route::Route,
        mirror: &pace_config::route::Mirror,
        timeouts: Timeouts,
        chain: Chain,
        pool: &Arc<Pool>,
        metrics: MirrorMetrics,
        in_flight: Arc<AtomicU32>,
    ) -> Mirror {
        let total = timeouts.total.unwrap_or(pool.settings.total_timeout);
        let copies = Route {
            name: route.name.clone(),
            chain,
            metrics: None,
            body_limit: None,
            rewrite: route.rewrite.clone(),
            action: Action::Forward(Forward {
                split: Split::new([(Arc::clone(pool), pool.name.as_str(), 1)], None),
                timeouts: Timeouts {
                    total: Some(Some(total.unwrap_or(LONGEST))),
                    ..timeouts
                },
                mirror: None,
            }),
        };
        Mirror {
            route: Arc::new(copies),
            metrics,
            share: mirror.share,
            max_in_flight: mirror.max_in_flight,
            in_flight,
        }
    }

    /// Draws whether a request is one of those that are copied.
    pub fn draw(&self) -> bool {
        fastrand::u32(..SHARE_OF_ALL) < self.share
    }

    /// Takes a place for a copy; `None` if as many are in flight as may be.
    pub fn take_place(&self) -> Option<MirrorPlace> {
        let taken = self
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_flight| {
                (in_flight < self.max_in_flight).then_some(in_flight + 1)
            });
        taken.ok().map(|_| MirrorPlace(Arc::clone(&self.in_flight)))
    }
}

impl Drop for MirrorPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
