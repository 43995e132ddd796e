//! The journal of which generations served together and when, against which responses are checked.
//!
//! Swaps come one after another, so the serving generations are a sequence of sets. Only the proxy knows when
//! exactly one set gives way to the next: somewhere between the moment a swap begins and the moment it is
//! seen to be done. A response must name a set that can have been current while it was in the making.

use super::setting::STAMPS;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a set is remembered after its end: longer than any request takes.
const MEMORY: Duration = Duration::from_secs(120);

/// As many remarks as a reader wants to read.
const MAX_REMARKS: usize = 10;

/// A response's evidence of the generations that served it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The proxy's statement: `name=number` for each plugin, in the order of the route.
    pub(crate) generations: &'a str,
    /// The text that each of [`STAMPS`] wrote into the request, if the request reached a backend.
    pub(crate) request_stamps: [Option<&'a str>; STAMPS.len()],
    /// The text that each of [`STAMPS`] wrote into the response, if it wrote into it.
    pub(crate) response_stamps: [Option<&'a str>; STAMPS.len()],
    /// The time before the first byte was sent.
    pub(crate) sent: Instant,
    /// The time after the last byte of the head had come.
    pub(crate) received: Instant,
}

/// The sets of generations that have served.
pub(crate) struct Journal {
    state: Mutex<State>,
}

struct State {
    /// The sets in the order in which they served. The last one may be about to serve.
    sets: VecDeque<Set>,
    checked: u64,
    faults: u64,
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
struct Set {
    generations: Vec<(String, u64)>,
    /// The `generations` as the proxy writes them.
    line: String,
    /// The text that each of [`STAMPS`] of this set writes.
    stamps: [String; STAMPS.len()],
    from: Instant,
    until: Option<Instant>,
}

impl Journal {
    /// Begins with the generations that serve now, in the order of the route.
    pub(crate) fn new(
        generations: Vec<(String, u64)>,
        stamps: [String; STAMPS.len()],
        now: Instant,
    ) -> Journal {
        let first = Set::new(generations, stamps, now);
        Journal {
            state: Mutex::new(State {
                sets: VecDeque::from([first]),
                checked: 0,
                faults: 0,
                remarks: Vec::new(),
            }),
        }
    }

    /// Records that another generation of a plugin is about to serve. It writes `stamp` if the plugin is one
    /// of [`STAMPS`].
    pub(crate) fn begin(&self, plugin: &str, number: u64, stamp: Option<&str>, now: Instant) {
        let mut state = self.lock();
        let last = state.sets.back().expect("there is a set from the start").clone();
        let mut generations = last.generations;
        for (name, current) in &mut generations {
            if name == plugin {
                *current = number;
            }
        }
        let mut stamps = last.stamps;
        for (known, written) in STAMPS.iter().zip(&mut stamps) {
            if known.plugin == plugin {
                *written = stamp.unwrap_or_default().to_owned();
            }
        }
        state.sets.push_back(Set::new(generations, stamps, now));
    }

    /// Records that the announced generation serves, and that the previous one no longer does.
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

    /// Checks a response against the sets that can have been current.
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

    /// Returns the number of responses checked, the number of wrong ones, and the first of these in words.
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
        let mut sides = evidence.request_stamps.iter().zip(evidence.response_stamps);
        if sides.any(|(request, response)| request.is_some() && *request != response) {
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
        let written = |set: &Set| {
            let mut stamps = set.stamps.iter().zip(evidence.response_stamps);
            stamps.all(|(stamp, found)| found.is_none_or(|found| found == stamp))
        };
        if recent.any(written) {
            Ok(())
        } else {
            Err("the stamps are not those of the generations which are said to have served")
        }
    }
}

impl Set {
    fn new(generations: Vec<(String, u64)>, stamps: [String; STAMPS.len()], from: Instant) -> Set {
        let words: Vec<String> = generations
            .iter()
            .map(|(name, number)| format!("{name}={number}"))
            .collect();
        Set {
            line: words.join(" "),
            generations,
            stamps,
            from,
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets `b=1 front=1` from 0 s, `b=2 front=1` from 10 to 12 s on, `b=2 front=2` from 20 to 22 s on. `front` stamps
    /// `one` and `two`; `own` and `limit`, which are not of the route, stamp `same` and `never`.
    struct Story {
        journal: Journal,
        start: Instant,
    }

    impl Story {
        fn new() -> Story {
            let start = Instant::now();
            let at = |seconds| start + Duration::from_secs(seconds);
            let journal = Journal::new(
                vec![("b".into(), 1), ("front".into(), 1)],
                ["never".into(), "one".into(), "same".into()],
                at(0),
            );
            journal.begin("b", 2, None, at(10));
            journal.done(at(12));
            journal.begin("front", 2, Some("two"), at(20));
            journal.done(at(22));
            Story { journal, start }
        }

        fn fault(&self, generations: &str, stamps: [&str; 2], time: [u64; 2]) -> Option<&'static str> {
            let [sent, received] = time.map(|seconds| self.start + Duration::from_secs(seconds));
            let evidence = Evidence {
                generations,
                request_stamps: [None, Some(stamps[0]), Some("same")],
                response_stamps: [None, Some(stamps[1]), Some("same")],
                sent,
                received,
            };
            self.journal.lock().judge(evidence).err()
        }
    }

    #[test]
    fn response_of_a_current_set_is_right() {
        let story = Story::new();
        for (generations, stamp, time) in [
            ("b=1 front=1", "one", [1, 2]),
            ("b=1 front=1", "one", [12, 13]),
            ("b=1 front=1", "one", [5, 30]),
            ("b=2 front=1", "one", [9, 10]),
            ("b=2 front=1", "one", [21, 30]),
            ("b=2 front=2", "two", [20, 20]),
            ("b=2 front=2", "two", [90, 95]),
        ] {
            assert_eq!(story.fault(generations, [stamp; 2], time), None, "{generations}");
        }
    }

    #[test]
    fn mixed_generations_are_found() {
        let story = Story::new();
        let fault = story
            .fault("b=1 front=2", ["two"; 2], [20, 21])
            .unwrap_or_default();
        assert!(fault.contains("never were current together"), "{fault}");
        let fault = story
            .fault("b=2 front=2", ["one", "two"], [20, 21])
            .unwrap_or_default();
        assert!(fault.contains("different generations"), "{fault}");
    }

    #[test]
    fn generation_before_or_after_its_time_is_found() {
        let story = Story::new();
        for time in [[13, 14], [25, 26]] {
            let fault = story.fault("b=1 front=1", ["one"; 2], time).unwrap_or_default();
            assert!(fault.contains("not current then"), "{fault}");
        }
        let fault = story
            .fault("b=2 front=2", ["two"; 2], [18, 19])
            .unwrap_or_default();
        assert!(fault.contains("not current then"), "{fault}");
    }

    #[test]
    fn stamp_of_another_generation_is_found() {
        let fault = Story::new()
            .fault("b=2 front=2", ["one"; 2], [30, 31])
            .unwrap_or_default();
        assert!(fault.contains("stamp"), "{fault}");
    }

    /// Each of two plugins serves a current generation, but the two never served together, even if the proxy
    /// says so.
    #[test]
    fn stamps_of_sets_that_never_served_together_are_found() {
        let story = Story::new();
        let at = |seconds| story.start + Duration::from_secs(seconds);
        story.journal.begin("own", 2, Some("other"), at(30));
        story.journal.done(at(32));
        let fault = |stamps: [&str; 2]| {
            let evidence = Evidence {
                generations: "b=2 front=2",
                request_stamps: [None, Some(stamps[0]), Some(stamps[1])],
                response_stamps: [Some("never"), Some(stamps[0]), Some(stamps[1])],
                sent: at(31),
                received: at(31),
            };
            story.journal.lock().judge(evidence).err()
        };
        assert_eq!([fault(["two", "same"]), fault(["two", "other"])], [None; 2]);
        let mixed = fault(["one", "other"]).unwrap_or_default();
        assert!(mixed.contains("stamps"), "{mixed}");
    }

    #[test]
    fn response_without_a_backend_needs_no_request_stamp() {
        let story = Story::new();
        story.journal.check(Evidence {
            generations: "b=1 front=1",
            request_stamps: [None; 3],
            response_stamps: [Some("never"), Some("one"), Some("same")],
            sent: story.start,
            received: story.start,
        });
        assert_eq!(story.journal.close(), (1, 0, Vec::new()));
    }

    #[test]
    fn sets_that_ended_long_ago_are_forgotten() {
        let story = Story::new();
        story
            .journal
            .begin("b", 3, None, story.start + Duration::from_secs(200));
        story.journal.done(story.start + Duration::from_secs(201));
        assert_eq!(story.journal.lock().sets.len(), 2);
    }
}
