//! Handles to what a plugin opens, opened, used and dropped in any order. Some were never given out, were dropped
//! before, or belong to something else.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::puppet::{Both, HANDLES, OPENED, Orders, Outcome, PostReturn, Realloc, number};
use pace_hook::{FailureReason, Hook};

/// The interface and the resource of a handle.
type Kind = (&'static str, &'static str);

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    Open(Kind),
    /// Calls a function of this kind with a handle of this kind that is held.
    Use(&'static str, Kind, Index),
    /// Calls a function of this kind with any number as its handle.
    Forge(&'static str, Kind, u32),
}

const USES: [(&str, Kind); 22] = [
    ("add", OPENED[0]),
    ("value", OPENED[0]),
    ("swap", OPENED[0]),
    ("drop", OPENED[0]),
    ("hit", OPENED[1]),
    ("count", OPENED[1]),
    ("take", OPENED[1]),
    ("refund", OPENED[1]),
    ("reserve", OPENED[1]),
    ("settle", OPENED[1]),
    ("drop", OPENED[1]),
    ("add", OPENED[2]),
    ("drop", OPENED[2]),
    ("set", OPENED[3]),
    ("add", OPENED[3]),
    ("drop", OPENED[3]),
    ("observe", OPENED[4]),
    ("drop", OPENED[4]),
    ("get", OPENED[5]),
    ("set", OPENED[5]),
    ("claim", OPENED[5]),
    ("drop", OPENED[5]),
];

fn step() -> impl Strategy<Value = Step> {
    let kind = select(&OPENED[..]);
    let used = select(&USES[..]);
    prop_oneof![
        30 => kind.prop_map(Step::Open),
        60 => (used.clone(), any::<Index>()).prop_map(|((name, kind), which)| Step::Use(name, kind, which)),
        2 => (used, prop_oneof![0..8_u32, any::<u32>()])
            .prop_map(|((name, kind), handle)| Step::Forge(name, kind, handle)),
    ]
}

/// The handles of an instance by number. A number that was given back is given out before new ones, and the last such
/// number first.
#[derive(Default)]
struct Model {
    handles: Vec<Option<Kind>>,
    free: Vec<u32>,
}

impl Model {
    fn open(&mut self, kind: Kind) -> u32 {
        let handle = self.free.pop().unwrap_or_else(|| {
            self.handles.push(None);
            self.handles.len() as u32
        });
        self.handles[handle as usize - 1] = Some(kind);
        handle
    }

    fn is(&self, handle: u32, kind: Kind) -> bool {
        let place = (handle as usize).checked_sub(1);
        place.and_then(|place| self.handles.get(place)) == Some(&Some(kind))
    }

    fn dropped(&mut self, handle: u32) {
        self.handles[handle as usize - 1] = None;
        self.free.push(handle);
    }

    fn all(&self, kind: Kind) -> Vec<u32> {
        let all = 1..=self.handles.len() as u32;
        all.filter(|handle| self.is(*handle, kind)).collect()
    }
}

const OUT: u64 = 512;

/// A call that opens something. Its name is always the same, so it is the same one.
fn open((interface, resource): Kind) -> (usize, Vec<u64>) {
    let given = match (interface, resource) {
        ("counters" | "tables", _) => vec![0, 1, OUT],
        ("windows", _) => vec![0, 1, 1000, 1000, OUT],
        ("metrics", "counter") => vec![0, 1, 0, 0, 0, 0, OUT],
        ("metrics", "gauge") => vec![0, 2, 0, 0, 0, 0, OUT],
        _ => vec![0, 3, 0, 0, 0, 0, 8, 1, OUT],
    };
    (number(interface, &format!("[static]{resource}.open")), given)
}

/// A call with a handle.
fn call(function: &str, (interface, resource): Kind, handle: u32) -> (usize, Vec<u64>) {
    let name = match function {
        "drop" => format!("[resource-drop]{resource}"),
        _ => format!("[method]{resource}.{function}"),
    };
    let more = match (interface, function) {
        ("counters", _) => vec![3],
        ("windows", "hit" | "count") => vec![0, 0, 0, OUT],
        ("windows", _) => vec![0, 0, 0, 2, OUT],
        ("tables", "set") => vec![0, 1, 0, 3, 1000, OUT],
        ("tables", "claim") => vec![0, 2, 1000, OUT],
        ("tables", _) => vec![0, 1, OUT],
        _ => vec![0, 0, 0],
    };
    let given = std::iter::once(u64::from(handle)).chain(more);
    (number(interface, &name), given.collect())
}

fn orders(calls: Vec<(usize, Vec<u64>)>) -> Orders {
    Orders {
        // The names are beginnings of one word. The number 2 is at 8.
        memory: b"key\0\0\0\0\0\0\0\0\0\0\0\0\x40".to_vec(),
        calls,
        realloc: Realloc::From(1024),
        result: None,
        post_return: PostReturn::Nothing,
    }
}

/// The most steps that stay below the limit of handles.
const STEPS: usize = HANDLES - OPENED.len();

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_use_of_handles_traps_only_for_handles_that_are_not_held(
        steps in prop::collection::vec(step(), 1..STEPS),
    ) {
        let mut model = Model::default();
        for kind in OPENED {
            model.open(kind);
        }
        let mut traps = false;
        let mut calls = Vec::new();
        for step in steps {
            let (name, kind, handle) = match step {
                Step::Open(kind) => {
                    model.open(kind);
                    calls.push(open(kind));
                    continue;
                }
                Step::Use(name, kind, which) => {
                    let all = model.all(kind);
                    if all.is_empty() {
                        continue;
                    }
                    (name, kind, *which.get(&all))
                }
                Step::Forge(name, kind, handle) => (name, kind, handle),
            };
            calls.push(call(name, kind, handle));
            if !model.is(handle, kind) {
                traps = true;
                break;
            }
            if name == "drop" {
                model.dropped(handle);
            }
        }
        // The number of the last handle opened is in the memory, which is part of the outcome.
        let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders(calls));
        let trapped = outcome == Outcome::Failed(FailureReason::Trap);
        prop_assert_eq!(trapped, traps, "{:?}", detail);
    }
}

#[test]
fn opening_more_handles_than_allowed_is_refused() {
    let free = HANDLES - OPENED.len();
    for (opened, refused) in [(free, false), (free + 1, true)] {
        let calls = vec![open(OPENED[0]); opened];
        let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders(calls));
        let memory = outcome.memory().unwrap_or_else(|| panic!("{detail:?}"));
        assert_eq!(memory[OUT as usize] == 1, refused, "after {opened}");
    }
}
