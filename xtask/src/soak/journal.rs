//! Which generations served together, and when; and whether a response says the same.
//!
//! Swaps come one after another, so what serves is a sequence of sets. When exactly one set gives way to the
//! next, only the proxy knows: somewhere between the moment a swap begins and the moment it is seen to be
//! done. A response must name a set that can have been current while it was in the making.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longer than any request takes; sets that ended before that are forgotten.
const MEMORY: Duration = Duration::from_secs(120);

/// As many as somebody wants to read.
const MAX_REMARKS: usize = 10;

/// What a response tells of what served it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The proxy's word: `name=number` for each plugin, in the order of the route.
    pub(crate) generations: &'a str,
    /// What the plugin wrote into the request, if that reached an origin.
    pub(crate) request_stamp: Option<&'a str>,
    /// What the plugin wrote into the response.
    pub(crate) response_stamp: &'a str,
    /// Before the first byte was sent.
    pub(crate) sent: Instant,
    /// After the last byte of the head was there.
    pub(crate) received: Instant,
}

/// What served, and what served instead of it.
pub(crate) struct Journal {
    state: Mutex<State>,
}

struct State {
    /// In the order in which they served. The last one may be about to.
    sets: VecDeque<Set>,
    checked: u64,
    faults: u64,
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
struct Set {
    generations: Vec<(String, u64)>,
    /// `generations` as the proxy writes them.
    line: String,
    /// What the stamping plugin of this set writes.
    stamp: String,
    from: Instant,
    until: Option<Instant>,
}

impl Journal {
    /// Begins with what serves now, in the order of the route.
    pub(crate) fn new(generations: Vec<(String, u64)>, stamp: String, now: Instant) -> Journal {
        let first = Set::new(generations, stamp, now);
        Journal {
            state: Mutex::new(State {
                sets: VecDeque::from([first]),
                checked: 0,
                faults: 0,
                remarks: Vec::new(),
            }),
        }
    }

    /// A plugin is about to be served by another generation, which writes `stamp` if it is the one that
    /// does.
    pub(crate) fn begin(&self, plugin: &str, number: u64, stamp: Option<&str>, now: Instant) {
        let mut state = self.lock();
        let last = state.sets.back().expect("there is a set from the start").clone();
        let mut generations = last.generations;
        for (name, current) in &mut generations {
            if name == plugin {
                *current = number;
            }
        }
        let stamp = stamp.map_or(last.stamp, str::to_owned);
        state.sets.push_back(Set::new(generations, stamp, now));
    }

    /// The generation that was announced serves, and what it replaced does not any more.
    pub(crate) fn done(&self, now: Instant) {
        let mut state = self.lock();
        let before = state.sets.len().saturating_sub(2);
        state.sets[before].until = Some(now);
        while state
            .sets
            .front()
            .is_some_and(|set| set.until.is_some_and(|until| now - until > MEMORY))
        {
            state.sets.pop_front();
        }
    }

    /// Holds a response against what served.
    pub(crate) fn check(&self, evidence: Evidence<'_>) {
        let mut state = self.lock();
        state.checked += 1;
        if let Err(fault) = state.judge(evidence) {
            state.faults += 1;
            if state.remarks.len() < MAX_REMARKS {
                let remark = format!("{fault}: {evidence:?}");
                state.remarks.push(remark);
            }
        }
    }

    /// How many responses were checked, how many of them were wrong, and the first of those in words.
    pub(crate) fn close(&self) -> (u64, u64, Vec<String>) {
        let state = self.lock();
        (state.checked, state.faults, state.remarks.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn judge(&self, evidence: Evidence<'_>) -> Result<(), &'static str> {
        if evidence
            .request_stamp
            .is_some_and(|stamp| stamp != evidence.response_stamp)
        {
            return Err("request and response were served by different generations");
        }
        let mut recent = self
            .sets
            .iter()
            .rev()
            .take_while(|set| set.until.is_none_or(|until| until >= evidence.sent))
            .filter(|set| set.from <= evidence.received)
            .filter(|set| set.line == evidence.generations)
            .peekable();
        if recent.peek().is_none() {
            return Err(if self.sets.iter().any(|set| set.line == evidence.generations) {
                "served by generations that were not current then"
            } else {
                "served by generations that never were current together"
            });
        }
        if recent.any(|set| set.stamp == evidence.response_stamp) {
            Ok(())
        } else {
            Err("the stamp is not that of the generation which is said to have served")
        }
    }
}

impl Set {
    fn new(generations: Vec<(String, u64)>, stamp: String, from: Instant) -> Set {
        let words: Vec<String> = generations
            .iter()
            .map(|(name, number)| format!("{name}={number}"))
            .collect();
        Set {
            line: words.join(" "),
            generations,
            stamp,
            from,
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets `a=1 b=1` from 0 s, `a=2 b=1` from 10 to 12 s on, `a=2 b=2` from 20 to 22 s on. `b` stamps.
    struct Story {
        journal: Journal,
        start: Instant,
    }

    impl Story {
        fn new() -> Story {
            let start = Instant::now();
            let at = |seconds| start + Duration::from_secs(seconds);
            let journal = Journal::new(vec![("a".into(), 1), ("b".into(), 1)], "one".into(), at(0));
            journal.begin("a", 2, None, at(10));
            journal.done(at(12));
            journal.begin("b", 2, Some("two"), at(20));
            journal.done(at(22));
            Story { journal, start }
        }

        fn fault(&self, generations: &str, stamps: [&str; 2], time: [u64; 2]) -> Option<&'static str> {
            let [sent, received] = time.map(|seconds| self.start + Duration::from_secs(seconds));
            let evidence = Evidence {
                generations,
                request_stamp: Some(stamps[0]),
                response_stamp: stamps[1],
                sent,
                received,
            };
            self.journal.lock().judge(evidence).err()
        }
    }

    #[test]
    fn what_was_current_may_serve() {
        let story = Story::new();
        for (generations, stamp, time) in [
            ("a=1 b=1", "one", [1, 2]),
            ("a=1 b=1", "one", [12, 13]),
            ("a=1 b=1", "one", [5, 30]),
            ("a=2 b=1", "one", [9, 10]),
            ("a=2 b=1", "one", [21, 30]),
            ("a=2 b=2", "two", [20, 20]),
            ("a=2 b=2", "two", [90, 95]),
        ] {
            assert_eq!(story.fault(generations, [stamp; 2], time), None, "{generations}");
        }
    }

    #[test]
    fn a_mixture_is_found() {
        let story = Story::new();
        let fault = story.fault("a=1 b=2", ["two"; 2], [20, 21]).unwrap_or_default();
        assert!(fault.contains("never were current together"), "{fault}");
        let fault = story
            .fault("a=2 b=2", ["one", "two"], [20, 21])
            .unwrap_or_default();
        assert!(fault.contains("different generations"), "{fault}");
    }

    #[test]
    fn the_past_and_the_future_do_not_serve() {
        let story = Story::new();
        for time in [[13, 14], [25, 26]] {
            let fault = story.fault("a=1 b=1", ["one"; 2], time).unwrap_or_default();
            assert!(fault.contains("not current then"), "{fault}");
        }
        let fault = story.fault("a=2 b=2", ["two"; 2], [18, 19]).unwrap_or_default();
        assert!(fault.contains("not current then"), "{fault}");
    }

    #[test]
    fn the_stamp_belongs_to_the_generation() {
        let fault = Story::new()
            .fault("a=2 b=2", ["one"; 2], [30, 31])
            .unwrap_or_default();
        assert!(fault.contains("stamp"), "{fault}");
    }

    #[test]
    fn a_response_without_an_origin_has_no_request_stamp() {
        let story = Story::new();
        story.journal.check(Evidence {
            generations: "a=1 b=1",
            request_stamp: None,
            response_stamp: "one",
            sent: story.start,
            received: story.start,
        });
        assert_eq!(story.journal.close(), (1, 0, Vec::new()));
    }

    #[test]
    fn the_distant_past_is_forgotten() {
        let story = Story::new();
        story
            .journal
            .begin("a", 3, None, story.start + Duration::from_secs(200));
        story.journal.done(story.start + Duration::from_secs(201));
        assert_eq!(story.journal.lock().sets.len(), 2);
    }
}
