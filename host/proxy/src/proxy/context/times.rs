//! The time that a request has, as the configuration and the client say.

use std::time::Duration;

use super::Context;

impl Context {
    /// The longest time of the request, as its route or its pool has it; none for a route without a pool.
    pub(super) fn total_timeout(&self) -> Option<Duration> {
        let forward = self.route.as_ref()?.forward()?;
        let of_pool = self.pool_at(None).settings.total_timeout;
        forward.timeouts.total.unwrap_or(of_pool)
    }

    /// The deadline of the request, if its route, its pool or its client sets one: the earlier one.
    pub(in crate::proxy) fn deadline(&self) -> Option<tokio::time::Instant> {
        let limits = [self.total_timeout(), self.grpc_timeout];
        let limit = limits.into_iter().flatten().min()?;
        Some(tokio::time::Instant::from_std(self.started) + limit)
    }

    /// Whether the deadline is that of the client.
    pub(in crate::proxy) fn has_deadline_of_client(&self) -> bool {
        let of_operator = self.total_timeout();
        self.grpc_timeout
            .is_some_and(|of_client| of_operator.is_none_or(|of_operator| of_client < of_operator))
    }

    /// Whether the deadline has passed; a request without a route has none.
    pub(in crate::proxy) fn is_late(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline <= tokio::time::Instant::now())
    }

    /// The longest wait for the response once the request has been sent.
    pub(in crate::proxy) fn first_byte_timeout(&self) -> Duration {
        let of_route = self.forward().timeouts.first_byte;
        of_route.unwrap_or(self.pool().settings.first_byte_timeout)
    }

    /// The longest time of the present attempt, if its pool or a plugin bounds it.
    pub(in crate::proxy) fn attempt_timeout(&self) -> Option<Duration> {
        let of_plugin = self.attempting.as_ref().and_then(|attempting| attempting.time());
        let limits = [self.pool().settings.retry.per_try, of_plugin];
        limits.into_iter().flatten().min()
    }
}
