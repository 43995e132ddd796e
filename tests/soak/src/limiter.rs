//! Checks that a limit holds exactly while the plugin that enforces it is swapped.

use super::exchange::{Question, World};
use super::ledger::Outcome;
use super::setting::{LIMIT, LIMITED};
use pace_kit::Client;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Connections that one client uses at the same time.
const CONNECTIONS: u32 = 3;

/// Requests on each connection: together half as many again as may pass.
const REQUESTS: u32 = LIMIT / 2;

/// The time between two requests, so that the limiter is swapped several times in the meantime.
const INTERVAL: Duration = Duration::from_millis(100);

/// The results of clients that tried to get more than their share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) clients: u64,
    /// Clients that got exactly their share.
    pub(crate) exact: u64,
    /// For each other client, how many of its requests passed.
    pub(crate) others: Vec<u32>,
}

impl Counts {
    fn add(&mut self, passed: u32) {
        self.clients += 1;
        if passed == LIMIT {
            self.exact += 1;
        } else if self.others.len() < 10 {
            self.others.push(passed);
        }
    }
}

/// Runs one client after another, until told to stop.
pub(crate) fn watch(world: &World, stop: &AtomicBool) -> Counts {
    let mut counts = Counts::default();
    while !stop.load(Ordering::Relaxed) {
        counts.add(spend(world, &address(counts.clients), stop));
    }
    counts
}

/// Uses up a client's share, and returns how much passed. Hurries when told to stop.
fn spend(world: &World, client: &str, stop: &AtomicBool) -> u32 {
    let passed = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Client::new(world.address);
                for _ in 0..REQUESTS {
                    let question = Question {
                        client: Some(client.to_owned()),
                        limited: true,
                        ..Question::get(LIMITED)
                    };
                    if world.ask(&mut connection, &question) == Outcome::Answered {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                    if !stop.load(Ordering::Relaxed) {
                        thread::sleep(INTERVAL);
                    }
                }
            });
        }
    });
    passed.into_inner()
}

/// An address of a private network, a different one for each number.
fn address(number: u64) -> String {
    let [.., a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_gets_the_limit_is_exact() {
        let mut counts = Counts::default();
        for passed in [LIMIT, LIMIT + 1, LIMIT, LIMIT - 1] {
            counts.add(passed);
        }
        let expected = Counts {
            clients: 4,
            exact: 2,
            others: vec![LIMIT + 1, LIMIT - 1],
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn clients_have_distinct_addresses() {
        assert_eq!(address(0), "10.0.0.0");
        assert_eq!(address(258), "10.0.1.2");
    }
}
