//! Handles to counters and windows, opened, used and dropped in any order. Some were never given out, were dropped
//! before, or belong to something else.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::puppet::{Both, FUNCTIONS, HANDLES, Orders, Outcome, PostReturn, Realloc};
use pace_hook::{FailureReason, Hook};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Window,
}

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    Open(Kind),
    /// Calls a function of this kind with a handle of this kind that is held.
    Use(&'static str, Kind, Index),
    /// Calls a function of this kind with any number as its handle.
    Forge(&'static str, Kind, u32),
}

const USES: [(&str, Kind); 7] = [
    ("[method]counter.add", Kind::Counter),
    ("[method]counter.value", Kind::Counter),
    ("[method]counter.swap", Kind::Counter),
    ("[resource-drop]counter", Kind::Counter),
    ("[method]window.hit", Kind::Window),
    ("[method]window.count", Kind::Window),
    ("[resource-drop]window", Kind::Window),
];

fn step() -> impl Strategy<Value = Step> {
    let kind = select(&[Kind::Counter, Kind::Window][..]);
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

/// A call of a function. Each counter and window that is opened has the name `k`, at 0, so it is the same one.
fn call(name: &str, kind: Option<Kind>, handle: u32) -> (usize, [u64; 5]) {
    let function = FUNCTIONS.iter().position(|function| function.name == name);
    let parameters = match (kind, name) {
        (None, "[static]counter.open") => [0, 1, OUT, 0, 0],
        (None, _) => [0, 1, 1000, 1000, OUT],
        (Some(_), "[method]counter.add" | "[method]counter.swap") => [handle.into(), 3, 0, 0, 0],
        (Some(_), _) => [handle.into(), 0, 0, 0, OUT],
    };
    (function.expect("the contract has it"), parameters)
}

fn orders(calls: Vec<(usize, [u64; 5])>) -> Orders {
    Orders {
        memory: b"k".to_vec(),
        calls,
        realloc: Realloc::From(1024),
        result: None,
        post_return: PostReturn::Nothing,
    }
}

/// The most steps that stay below the limit of handles.
const STEPS: usize = HANDLES - 2;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_use_of_handles_traps_only_for_handles_that_are_not_held(
        steps in prop::collection::vec(step(), 1..STEPS),
    ) {
        // The puppet opens these when it is configured.
        let mut model = Model::default();
        model.open(Kind::Counter);
        model.open(Kind::Window);
        let mut traps = false;
        let mut calls = Vec::new();
        for step in steps {
            let (name, kind, handle) = match step {
                Step::Open(kind) => {
                    model.open(kind);
                    let name = match kind {
                        Kind::Counter => "[static]counter.open",
                        Kind::Window => "[static]window.open",
                    };
                    calls.push(call(name, None, 0));
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
            calls.push(call(name, Some(kind), handle));
            if !model.is(handle, kind) {
                traps = true;
                break;
            }
            if name.starts_with("[resource-drop]") {
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
    let open = call("[static]counter.open", None, 0);
    // The puppet has opened two.
    for (opened, refused) in [(HANDLES - 2, false), (HANDLES - 1, true)] {
        let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders(vec![open; opened]));
        let memory = outcome.memory().unwrap_or_else(|| panic!("{detail:?}"));
        assert_eq!(memory[OUT as usize] == 1, refused, "after {opened}");
    }
}
