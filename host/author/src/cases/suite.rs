//! The cases to run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::check::Expectation;
use super::keep::Keep;
use super::value::Number;
use pace_config::Location;
use pace_harness::{Exchange, Setup, WindowKey, Word};
use pace_hook::PerHook;

/// A file of cases.
pub(in super::super) struct Suite {
    /// The file.
    pub(in super::super) path: PathBuf,
    /// The plugin under test, as a path or `builtin:NAME`; `None` if the command line must name it.
    pub(in super::super) wasm: Option<String>,
    /// The budget of the plugin.
    pub(in super::super) budget: Budget,
    /// The setup and the exchange that cases start from.
    pub(in super::super) defaults: (Setup, Exchange),
    /// The cases in the order of the file.
    pub(in super::super) cases: Vec<Case>,
}

/// `[budget]`.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Budget {
    pub(in super::super) hooks: PerHook<HookBudget>,
    /// Linear memory after the calls, in KiB.
    pub(in super::super) memory_kb: Option<u32>,
}

/// The most that the median call of a hook may cost.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct HookBudget {
    pub(in super::super) nanoseconds: Option<u32>,
    pub(in super::super) instructions: Option<u32>,
}

impl Budget {
    /// Whether checking the budget needs counted instructions.
    pub(in super::super) fn needs_instructions(&self) -> bool {
        self.hooks.iter().any(|(_, hook)| hook.instructions.is_some())
    }
}

/// A case: a freshly configured plugin, and the steps that it goes through.
pub(in super::super) struct Case {
    pub(in super::super) name: String,
    /// The line of the file where the case begins.
    pub(in super::super) line: usize,
    pub(super) setup: Setup,
    /// The plugins before and behind the one under test in the route's list.
    pub(in super::super) neighbors: Neighbors,
    pub(super) events: Vec<Events>,
    pub(super) refusal: Option<Expectation>,
    pub(super) shuffle: Option<Shuffle>,
    pub(super) steps: Vec<Step>,
    pub(super) tally: Vec<Count>,
}

/// The other plugins of a route, in the order of its list.
#[derive(Clone, Default)]
pub(in super::super) struct Neighbors {
    pub(in super::super) before: Vec<Neighbor>,
    pub(in super::super) after: Vec<Neighbor>,
}

/// Another plugin of a route.
#[derive(Clone)]
pub(in super::super) struct Neighbor {
    pub(super) location: Location,
    /// A path or `builtin:NAME`.
    pub(in super::super) wasm: String,
    pub(super) setup: Setup,
}

impl Neighbors {
    /// Gives them the clock and the level of the log of the plugin under test.
    pub(super) fn share(&mut self, tested: &Setup) {
        for neighbor in self.before.iter_mut().chain(&mut self.after) {
            neighbor.setup.wall = tested.wall;
            neighbor.setup.log_level = tested.log_level;
        }
    }

    /// All of them.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = &Neighbor> {
        self.before.iter().chain(&self.after)
    }
}

/// Events that a window has before the first step.
pub(super) struct Events {
    pub(super) location: Location,
    pub(super) window: String,
    pub(super) key: WindowKey,
    pub(super) events: u32,
    pub(super) ago: Duration,
}

/// Runs the steps in another order each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shuffle {
    pub(super) seed: u64,
    pub(super) rounds: u32,
}

/// A request that is sent once or more often.
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) wall: Option<u64>,
    /// The time that passes before each request.
    pub(super) advance: Duration,
    pub(super) repeat: u32,
    pub(super) exchange: Exchange,
    pub(super) keep: Vec<Keep>,
    pub(super) expect: Vec<Expectation>,
    pub(super) tally: Vec<Count>,
}

/// How many requests must have an outcome.
pub(super) struct Count {
    pub(super) location: Location,
    pub(super) of: Counted,
    pub(super) number: Number,
}

/// An outcome that is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    Verdict(Word),
    Status(u16),
    Backend(String),
}

/// How often each outcome occurred.
pub(super) type Tally = BTreeMap<Counted, u64>;
