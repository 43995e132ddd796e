//! The connections of clients, by listener and protocol, and the requests on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::cells::Cells;

/// The connections of all listeners.
#[derive(Default)]
pub struct ClientConnections {
    by_listener: Mutex<BTreeMap<String, Arc<ListenerConnections>>>,
}

/// The connections of the clients of one listener. They outlive the listener.
pub struct ListenerConnections(Cells<{ Count::ALL }>);

/// The numbers that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Open,
    Upgraded,
    Http1,
    Http1Requests,
    Http2,
    Http2Active,
    Http2Requests,
}

impl Count {
    const ALL: usize = Count::Http2Requests as usize + 1;
}

/// A protocol that clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The connections at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// All connections that were accepted and are open.
    pub open: u64,
    /// Connections of HTTP/1.
    pub http1: ProtocolCounts,
    /// Connections of HTTP/2.
    pub http2: ProtocolCounts,
    /// Upgraded connections of HTTP/1, for example of WebSockets.
    pub upgraded: u64,
}

/// The connections of one protocol at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolCounts {
    /// All connections.
    pub open: u64,
    /// Connections with a request under way.
    pub active: u64,
    /// The requests under way.
    pub requests: u64,
}

impl ClientConnections {
    /// The connections of a listener, by its address.
    pub fn of(&self, listener: &str) -> Arc<ListenerConnections> {
        let mut by_listener = self.by_listener.lock();
        match by_listener.get(listener) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::<ListenerConnections>::default();
                by_listener.insert(listener.to_owned(), Arc::clone(&new));
                new
            }
        }
    }

    /// Each listener with its connections, by its address.
    pub fn list(&self) -> Vec<(String, ConnectionCounts)> {
        let by_listener = self.by_listener.lock();
        let counts = by_listener.iter();
        counts
            .map(|(listener, connections)| (listener.clone(), connections.counts()))
            .collect()
    }

    /// The connections of all listeners together.
    pub fn total(&self) -> ConnectionCounts {
        let by_listener = self.by_listener.lock();
        let mut sums = [0_u64; Count::ALL];
        for ListenerConnections(cells) in by_listener.values().map(|connections| &**connections) {
            for (sum, count) in sums.iter_mut().zip(cells.sums()) {
                *sum = sum.wrapping_add(count);
            }
        }
        counts(sums)
    }
}

impl Default for ListenerConnections {
    fn default() -> ListenerConnections {
        ListenerConnections(Cells::new())
    }
}

impl ListenerConnections {
    /// The connections at this moment.
    pub fn counts(&self) -> ConnectionCounts {
        counts(self.0.sums())
    }

    fn add(&self, count: Count) {
        self.0.mine()[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn subtract(&self, count: Count) {
        self.0.mine()[count as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

fn counts(sums: [u64; Count::ALL]) -> ConnectionCounts {
    // The numbers are read one after the other, and what is counted meanwhile may be in one of them only.
    let of = |count: Count| match sums[count as usize] {
        below_zero if below_zero > u64::MAX / 2 => 0,
        number => number,
    };
    let http1_requests = of(Count::Http1Requests);
    ConnectionCounts {
        open: of(Count::Open),
        http1: ProtocolCounts {
            open: of(Count::Http1),
            // Requests come one after the other.
            active: http1_requests,
            requests: http1_requests,
        },
        http2: ProtocolCounts {
            open: of(Count::Http2),
            active: of(Count::Http2Active),
            requests: of(Count::Http2Requests),
        },
        upgraded: of(Count::Upgraded),
    }
}

/// Counts one until it is dropped.
pub struct Counting {
    connections: Arc<ListenerConnections>,
    count: Count,
}

impl Counting {
    /// Counts an open connection.
    pub fn open(connections: &Arc<ListenerConnections>) -> Counting {
        Counting::new(connections, Count::Open)
    }

    /// Counts an upgraded connection.
    pub fn upgraded(connections: &Arc<ListenerConnections>) -> Counting {
        Counting::new(connections, Count::Upgraded)
    }

    /// Counts a connection on which a protocol is spoken.
    pub fn speaking(connections: &Arc<ListenerConnections>, spoken: Spoken) -> Counting {
        let count = match spoken {
            Spoken::Http1 => Count::Http1,
            Spoken::Http2 => Count::Http2,
        };
        Counting::new(connections, count)
    }

    /// Counts a request.
    pub fn request(connections: &Arc<ListenerConnections>, spoken: Spoken) -> Counting {
        let count = match spoken {
            Spoken::Http1 => Count::Http1Requests,
            Spoken::Http2 => Count::Http2Requests,
        };
        Counting::new(connections, count)
    }

    fn new(connections: &Arc<ListenerConnections>, count: Count) -> Counting {
        connections.add(count);
        Counting {
            connections: Arc::clone(connections),
            count,
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.connections.subtract(self.count);
    }
}

/// Counts a connection of HTTP/2 as active while it has requests.
pub struct Activity<'c> {
    connections: &'c ListenerConnections,
    is_active: bool,
}

impl Activity<'_> {
    /// A connection without a request.
    pub fn none(connections: &ListenerConnections) -> Activity<'_> {
        Activity {
            connections,
            is_active: false,
        }
    }

    /// Takes note of whether the connection has requests.
    pub fn set(&mut self, is_active: bool) {
        match (self.is_active, is_active) {
            (false, true) => self.connections.add(Count::Http2Active),
            (true, false) => self.connections.subtract(Count::Http2Active),
            (false, false) | (true, true) => {}
        }
        self.is_active = is_active;
    }
}

impl Drop for Activity<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn connection_counts_where_it_was_accepted_until_it_ends_on_any_thread() {
        let all = ClientConnections::default();
        let (one, other) = (all.of("127.0.0.1:80"), all.of("127.0.0.1:81"));
        assert!(Arc::ptr_eq(&one, &all.of("127.0.0.1:80")));
        let kept = [
            Counting::open(&one),
            Counting::speaking(&one, Spoken::Http1),
            Counting::request(&one, Spoken::Http1),
            Counting::upgraded(&one),
        ];
        let elsewhere = [Counting::open(&other), Counting::speaking(&other, Spoken::Http2)];
        let http1 = ProtocolCounts {
            open: 1,
            active: 1,
            requests: 1,
        };
        let counts = one.counts();
        assert_eq!((counts.open, counts.http1, counts.upgraded), (1, http1, 1));
        assert_eq!(counts.http2, ProtocolCounts::default());
        assert_eq!((all.total().open, all.total().http2.open), (2, 1));
        thread::spawn(move || drop((kept, elsewhere)))
            .join()
            .expect("it ends");
        assert_eq!(all.total(), ConnectionCounts::default());
        let listeners: Vec<String> = all.list().into_iter().map(|(listener, _)| listener).collect();
        assert_eq!(listeners, ["127.0.0.1:80", "127.0.0.1:81"]);
    }

    #[test]
    fn connection_of_http2_is_active_once_however_often_that_is_said() {
        let connections = ListenerConnections::default();
        let mut activity = Activity::none(&connections);
        for (is_active, counted) in [(true, 1), (true, 1), (false, 0), (false, 0), (true, 1)] {
            activity.set(is_active);
            assert_eq!(connections.counts().http2.active, counted);
        }
        drop(activity);
        assert_eq!(connections.counts().http2.active, 0);
    }
}
