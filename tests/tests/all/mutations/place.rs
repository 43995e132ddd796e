//! The setting of a case: a Pace with one worker, the backend behind it, and addresses for its clients.

use std::net::{IpAddr, Ipv4Addr};

use pace_tests::{Pace, wait_until};

use super::backend::{Backend, Manner, Record, Reply, Then};
use super::judge::Wrong;
use super::judge::requests::{Seen, check_records, judge};
use super::reader::{Read, RequestHead};
use super::seeds::usual_request;
use super::sent::Sent;
use super::talk::{Plan, Step, talk};

/// A Pace and its backend. One worker shares its connections to the backend among all requests: bytes that
/// one request leaves on them meet the next one.
pub(crate) struct Place {
    pub(crate) pace: Pace,
    pub(crate) backend: Backend,
}

impl Place {
    pub(crate) fn new(manner: impl Manner) -> Place {
        let backend = Backend::new(manner);
        let pace = Pace::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [[pools]]\nname = \"web\"\nbackends = [\"{}\"]\nmax_retries = 0\nresponse_timeout_ms = 10000\n\
             [[routes]]\npool = \"web\"\n",
            backend.address()
        ));
        Place { pace, backend }
    }

    /// Checks that requests on a connection of their own, after a case, meet nothing that the case has left: one
    /// without a body, and one with a body.
    pub(crate) fn check_after(&self, case: usize) -> Result<(), Wrong> {
        let client = marker_address(case);
        let requests = [("get", "GET"), ("post", "POST")];
        let requests =
            requests.map(|(name, method)| usual_request(&format!("{case}.{name}"), method).into_bytes());
        let bytes = requests.concat();
        let sent = Sent::read(&bytes);
        let steps: Vec<Step> = requests
            .into_iter()
            .enumerate()
            .map(|(after, bytes)| Step::whole(after, bytes))
            .collect();
        let heard =
            talk(self.pace.address(), client, &steps, &Plan::of(&sent, &bytes)).map_err(|error| Wrong {
                kind: "Pace takes no connections".to_owned(),
                detail: error.to_string(),
            })?;
        let records = self.backend.records();
        let seen = Seen {
            bytes: &bytes,
            sent: &sent,
            at_once: false,
            client: client.to_string(),
            heard: &heard,
            records: &records,
        };
        judge(&seen).map_err(|wrong| Wrong {
            kind: format!("afterwards: {}", wrong.kind),
            detail: wrong.detail,
        })
    }

    /// Checks that all requests that the backend received in a case were from the case's clients.
    pub(crate) fn check_backend(&self, case: usize, records: &[(usize, Record)]) -> Result<(), Wrong> {
        let clients = [client_address(case), marker_address(case)];
        check_records(records, &clients.map(|client| client.to_string()))
    }

    /// Checks that nothing is left of all cases.
    pub(crate) fn end(self) {
        for gauge in ["pace_requests_in_flight", "pace_connections_open"] {
            wait_until(gauge, || self.pace.metrics().sum(gauge, &[]) == 0);
        }
    }
}

/// A backend that always sends the [usual reply](usual_reply).
pub(crate) struct Usual;

impl Manner for Usual {
    fn reply(&self, number: usize, read: &Read<RequestHead>) -> Reply {
        usual_reply(number, read)
    }
}

/// A response with the number of the record that it answers.
pub(crate) fn usual_reply(number: usize, read: &Read<RequestHead>) -> Reply {
    let head = read.head.as_ref();
    let body = format!("[this answers {number}]");
    let upgrade = head.filter(|head| head.asks_for_upgrade());
    let (bytes, then) = match (upgrade, head) {
        (Some(head), _) => {
            let protocol = head.fields.list("upgrade").into_iter().next().unwrap_or_default();
            let protocol = protocol.escape_ascii();
            let lines = format!("Connection: upgrade\r\nUpgrade: {protocol}\r\nX-Token: {number}\r\n\r\n");
            (format!("HTTP/1.1 101 Switching Protocols\r\n{lines}"), Then::Echo)
        }
        (None, head) => {
            let body_follows = head.is_none_or(|head| head.method != b"HEAD");
            let length = body.len();
            let lines = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Token: {number}\r\n\r\n");
            (lines + if body_follows { &body } else { "" }, Then::GoOn)
        }
    };
    let closes = head.is_some_and(RequestHead::closes) && then == Then::GoOn;
    Reply {
        bytes: bytes.into_bytes(),
        cuts: Vec::new(),
        then: if closes { Then::Close } else { then },
    }
}

/// A client address for each case, which tells its requests from all others: Pace passes it on.
pub(crate) fn client_address(case: usize) -> IpAddr {
    address(case, 0)
}

fn marker_address(case: usize) -> IpAddr {
    address(case, 1)
}

/// An address in 127.0.0.0/8, all of which is this machine. Addresses repeat after four million cases.
fn address(case: usize, which: usize) -> IpAddr {
    let [_, a, b, c] = ((case % (1 << 22) * 2 + which) as u32 + 256).to_be_bytes();
    Ipv4Addr::new(127, a + 1, b, c).into()
}
