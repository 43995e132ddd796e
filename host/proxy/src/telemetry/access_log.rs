//! One line per request, at level `info` of the target `pace::access`.

use std::net::IpAddr;
use std::time::Duration;

use log::info;

use pace_base::escape::Word;

/// What the line says.
pub struct Access<'a> {
    /// Who asked.
    pub client: IpAddr,
    /// The method as sent.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a [u8],
    /// The status sent; 499 if the client left before there was one.
    pub status: u16,
    /// Bytes of the response's body that were sent.
    pub body_bytes: u64,
    /// From the request's head to the end of the response.
    pub duration: Duration,
    /// The route taken.
    pub route: Option<&'a str>,
    /// The backend that answered.
    pub backend: Option<&'a str>,
    /// Attempts made.
    pub attempts: u32,
    /// Why the request was refused before anything was decided about it.
    pub refused: Option<&'static str>,
}

/// Writes the line, if anybody wants it.
pub fn access_log(access: &Access<'_>) {
    let (method, target) = match access.target {
        // Where nothing could be read of what was asked for.
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
