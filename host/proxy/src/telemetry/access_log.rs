//! The access log: one line per request, at level `info` of the target `pace::access`.

use std::net::IpAddr;
use std::time::Duration;

use log::info;

use pace_base::escape::Word;

/// The facts in the line.
pub struct Access<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The method as sent.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a [u8],
    /// The status that was sent; 499 if the client left before it got one.
    pub status: u16,
    /// The number of bytes of the response's body that were sent.
    pub body_bytes: u64,
    /// The time from the request's head to the end of the response.
    pub duration: Duration,
    /// The route of the request.
    pub route: Option<&'a str>,
    /// The backend that answered.
    pub backend: Option<&'a str>,
    /// The number of attempts.
    pub attempts: u32,
    /// The refusal, if the request was malformed or did not arrive in time.
    pub refused: Option<&'static str>,
}

/// Writes the line, if its level is enabled.
pub fn access_log(access: &Access<'_>) {
    let (method, target) = match access.target {
        // Neither method nor target could be read.
        [] => ("-", &b"-"[..]),
        target => (access.method, target),
    };
    info!(
        target: "pace::access",
        "{} {} {} {} {}B {:.3}ms route={} backend={} attempts={}{}{}",
        access.client,
        Word(method.as_bytes()),
        Word(target),
        access.status,
        access.body_bytes,
        access.duration.as_secs_f64() * 1e3,
        access.route.unwrap_or("-"),
        access.backend.unwrap_or("-"),
        access.attempts,
        access.refused.map_or("", |_| " refused="),
        access.refused.unwrap_or_default(),
    );
}
