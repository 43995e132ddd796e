//! Limits the number of connections, and turns others away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::http1::{Arrival, Client};
use crate::io::Transport;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The number of connections of each client address, over all workers. Nothing is counted without a limit.
#[derive(Debug, Default)]
pub(super) struct PerClient(Mutex<HashMap<IpAddr, u32, RandomState>>);

/// A connection that counts for its client until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    counts: Arc<PerClient>,
    client: IpAddr,
}

impl PerClient {
    /// Counts a connection of a client that has fewer than `most`; `None` if it has that many.
    pub(super) fn admit(self: &Arc<PerClient>, client: IpAddr, most: NonZeroU32) -> Option<Admitted> {
        let mut counts = self.0.lock();
        let count = counts.entry(client).or_default();
        if *count >= most.get() {
            return None;
        }
        *count += 1;
        Some(Admitted {
            counts: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counts.0.lock().entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// How long turning a connection away may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a connection that is turned away, sent if that is possible at once.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n";

/// Answers a connection that is one too many, and closes it.
pub(super) async fn turn_away(mut stream: TcpStream) {
    // A new socket has room for the answer, and a client that has gone need not know.
    let _ = stream.write_all(FULL).await;
    let _ = stream.shutdown().await;
}

/// The answer to a client that speaks HTTP on a port for TLS.
const PLAINTEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 55\r\nConnection: close\r\n\r\nthis port speaks TLS: the address begins with https://\n";

/// Tells a client that it must speak TLS, and closes its connection.
pub(super) async fn answer_plaintext(stream: TcpStream, arrival: Arrival) {
    let mut client = Client::new(Transport::new(stream), Arc::new(arrival));
    if client.send(PLAINTEXT, b"", SEND_TIMEOUT).await.is_ok() {
        client.linger().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_has_as_many_connections_as_allowed_and_others_have_theirs() {
        let counts = Arc::new(PerClient::default());
        let two = NonZeroU32::new(2).expect("it is not 0");
        let admit = |last| counts.admit(IpAddr::from([127, 0, 0, last]), two);
        let first = admit(1).expect("the first");
        let _second = admit(1).expect("the second");
        assert!(admit(1).is_none());
        assert!(admit(2).is_some());
        drop(first);
        assert!(admit(1).is_some());
        assert_eq!(counts.0.lock().len(), 1, "who has none is forgotten");
    }

    #[test]
    fn answers_are_as_long_as_they_say() {
        for answer in [FULL, PLAINTEXT] {
            let text = std::str::from_utf8(answer).expect("it is text");
            let (head, body) = text.split_once("\r\n\r\n").expect("it has a head");
            assert!(
                head.contains(&format!("Content-Length: {}", body.len())),
                "{head}"
            );
        }
    }
}
