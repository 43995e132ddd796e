//! The ledger of every request: the client's side and the backend's.
//!
//! A request has an entry from when it is issued until its client says how it ended. Arrivals at a backend
//! are written into the entry, so an end can be checked against what the backends received, and an arrival
//! without an entry is one too many. Only open requests take memory.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number that a request carries through the proxy.
pub(crate) type Id = u64;

/// The kinds of requests that the ledger tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request that may be sent to a backend again after a failure.
    Get,
    /// A request that may reach the backends only once.
    Post,
    /// A request to a route whose plugin misbehaves: any well-formed answer is right.
    Misbehaving,
}

/// How a request ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a backend's answer.
    Answered,
    /// With the limiter's refusal, where there is a limit.
    Denied,
    /// With an answer that replaces a plugin's; only [`Kind::Misbehaving`].
    Replaced,
    /// With a failure, for this reason.
    Failed(String),
}

/// The sums at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) denied: u64,
    /// Answers on misbehaving routes, including the proxy's own.
    pub(crate) misbehaving: u64,
    pub(crate) failed: u64,
    /// POSTs that reached backends more than once.
    pub(crate) posts_twice: u64,
    /// GETs that reached backends more than once, which is allowed after a failed attempt.
    pub(crate) gets_twice: u64,
    /// Requests answered without having been at a backend, or denied after having been there.
    pub(crate) contradictions: u64,
    /// Arrivals at a backend after the request's end, or without an entry.
    pub(crate) strays: u64,
    /// Requests that never ended.
    pub(crate) unfinished: u64,
    /// The first failures, in words.
    pub(crate) remarks: Vec<String>,
}

/// The entries and sums of a run's requests.
pub(crate) struct Ledger {
    next: AtomicU64,
    shards: [Mutex<HashMap<Id, Entry>>; SHARDS],
    tally: Mutex<Tally>,
}

struct Entry {
    kind: Kind,
    arrivals: u32,
}

const SHARDS: usize = 16;

/// As many remarks as a reader wants to read.
const MAX_REMARKS: usize = 20;

impl Ledger {
    pub(crate) fn new() -> Ledger {
        Ledger {
            next: AtomicU64::new(1),
            shards: std::array::from_fn(|_| Mutex::default()),
            tally: Mutex::default(),
        }
    }

    /// Records that a request is about to be sent.
    pub(crate) fn issue(&self, kind: Kind) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.shard(id).insert(id, Entry { kind, arrivals: 0 });
        id
    }

    /// Records that a whole request has reached a backend.
    pub(crate) fn arrived(&self, id: Id) {
        let known = self.shard(id).get_mut(&id).map(|entry| entry.arrivals += 1);
        if known.is_none() {
            let mut tally = self.tally();
            tally.strays += 1;
            tally.remark(|| format!("request {id} reached a backend when it was over"));
        }
    }

    /// Records how a request has ended for its client.
    pub(crate) fn settle(&self, id: Id, outcome: Outcome) {
        let entry = self.shard(id).remove(&id);
        let mut tally = self.tally();
        match entry {
            Some(entry) => tally.settle(id, &entry, outcome),
            None => {
                tally.contradictions += 1;
                tally.remark(|| format!("request {id} ended twice"));
            }
        }
    }

    /// The sums so far. Open requests count as unfinished, so all clients must have ended.
    pub(crate) fn close(&self) -> Tally {
        let open: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        let mut tally = self.tally().clone();
        tally.unfinished = open as u64;
        tally
    }

    fn shard(&self, id: Id) -> MutexGuard<'_, HashMap<Id, Entry>> {
        self.shards[id as usize % SHARDS].lock()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock()
    }
}

impl Tally {
    fn settle(&mut self, id: Id, entry: &Entry, outcome: Outcome) {
        let arrivals = entry.arrivals;
        if arrivals > 1 {
            match entry.kind {
                Kind::Post => {
                    self.posts_twice += 1;
                    self.remark(|| format!("POST {id} reached backends {arrivals} times"));
                }
                Kind::Get | Kind::Misbehaving => self.gets_twice += 1,
            }
        }
        let contradicts = match &outcome {
            Outcome::Answered => arrivals == 0,
            Outcome::Denied => arrivals > 0,
            Outcome::Replaced | Outcome::Failed(_) => false,
        };
        if contradicts {
            self.contradictions += 1;
            self.remark(|| format!("request {id}: {outcome:?}, but it was at backends {arrivals} times"));
        }
        match (entry.kind, outcome) {
            (_, Outcome::Failed(why)) => {
                self.failed += 1;
                self.remark(|| format!("request {id} failed: {why}"));
            }
            (Kind::Misbehaving, _) => self.misbehaving += 1,
            (_, Outcome::Answered) => self.answered += 1,
            (_, Outcome::Denied) => self.denied += 1,
            (_, Outcome::Replaced) => {
                self.failed += 1;
                self.remark(|| format!("request {id} was answered in place of a plugin"));
            }
        }
    }

    fn remark(&mut self, remark: impl FnOnce() -> String) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(remark());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tally of one request that reached backends `arrivals` times and ended with `outcome`.
    fn tally(kind: Kind, arrivals: u32, outcome: Outcome) -> Tally {
        let ledger = Ledger::new();
        let id = ledger.issue(kind);
        for _ in 0..arrivals {
            ledger.arrived(id);
        }
        ledger.settle(id, outcome);
        Tally {
            remarks: Vec::new(),
            ..ledger.close()
        }
    }

    #[test]
    fn expected_outcome_is_only_counted() {
        let answered = Tally {
            answered: 1,
            ..Tally::default()
        };
        assert_eq!(tally(Kind::Get, 1, Outcome::Answered), answered);
        assert_eq!(tally(Kind::Post, 1, Outcome::Answered), answered);
        let denied = Tally {
            denied: 1,
            ..Tally::default()
        };
        assert_eq!(tally(Kind::Get, 0, Outcome::Denied), denied);
        let misbehaving = Tally {
            misbehaving: 1,
            ..Tally::default()
        };
        assert_eq!(tally(Kind::Misbehaving, 0, Outcome::Replaced), misbehaving);
        assert_eq!(tally(Kind::Misbehaving, 1, Outcome::Answered), misbehaving);
    }

    #[test]
    fn post_that_arrives_twice_is_found_whatever_its_outcome() {
        assert_eq!(tally(Kind::Post, 2, Outcome::Answered).posts_twice, 1);
        assert_eq!(tally(Kind::Post, 2, Outcome::Failed("x".into())).posts_twice, 1);
        let get = tally(Kind::Get, 2, Outcome::Answered);
        assert_eq!((get.posts_twice, get.gets_twice), (0, 1));
    }

    #[test]
    fn outcome_that_arrivals_contradict_is_found() {
        assert_eq!(tally(Kind::Get, 0, Outcome::Answered).contradictions, 1);
        assert_eq!(tally(Kind::Get, 1, Outcome::Denied).contradictions, 1);
        assert_eq!(tally(Kind::Get, 1, Outcome::Failed("x".into())).contradictions, 0);
    }

    #[test]
    fn failure_is_explained_in_words() {
        let ledger = Ledger::new();
        for _ in 0..2 * MAX_REMARKS {
            ledger.settle(ledger.issue(Kind::Get), Outcome::Failed("status 503".into()));
        }
        let tally = ledger.close();
        assert_eq!(tally.failed, 2 * MAX_REMARKS as u64);
        assert_eq!(tally.remarks.len(), MAX_REMARKS);
        assert_eq!(tally.remarks[0], "request 1 failed: status 503");
    }

    #[test]
    fn late_arrival_and_missing_end_are_counted() {
        let ledger = Ledger::new();
        let (first, _second) = (ledger.issue(Kind::Get), ledger.issue(Kind::Get));
        ledger.arrived(first);
        ledger.settle(first, Outcome::Answered);
        ledger.settle(first, Outcome::Answered);
        ledger.arrived(first);
        let tally = ledger.close();
        assert_eq!((tally.answered, tally.contradictions), (1, 1));
        assert_eq!((tally.strays, tally.unfinished), (1, 1));
    }
}
