//! Reads and writes a session, and tests whether it is alive.

use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, PingPong};
use log::debug;
use tokio::time::timeout;

use super::{Key, Sessions};
use crate::http2::Driver;

/// How long a backend may take to answer a PING.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads and writes a session until its end.
pub(super) async fn drive(home: Arc<Sessions>, key: Key, number: u64, driver: Box<Driver>) {
    let mut driven = Driven {
        home: Arc::clone(&home),
        key,
        number,
        how: None,
    };
    let ended = driver.run(move |limit| home.limit(key, number, limit)).await;
    if let Err(error) = &ended {
        debug!(target: "pace::proxy", "a session of HTTP/2 with a backend ended: {error}");
    }
    driven.how = Some(ended);
}

/// A session that is read and written. However that ends, it is removed.
struct Driven {
    home: Arc<Sessions>,
    key: Key,
    number: u64,
    how: Option<Result<(), h2::Error>>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.home.ended(self.key, self.number, self.how.take());
    }
}

/// Sends PING to a backend. A session without an answer is ended, with all its requests.
pub(super) async fn probe(home: Arc<Sessions>, key: Key, number: u64, mut pings: PingPong) {
    let answered = timeout(PROBE_TIMEOUT, pings.ping(Ping::opaque())).await;
    let mut with = home.with.lock();
    let Some(of_backend) = with.get_mut(&key) else {
        return;
    };
    match (answered, of_backend.session(number)) {
        (Ok(Ok(_)), Some(session)) => session.trust(pings),
        (_, Some(session)) => {
            session.driving.abort();
            of_backend.remove(number);
        }
        (_, None) => {}
    }
    home.advance(key, of_backend);
}
