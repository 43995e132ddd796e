//! The plugins of a route: the one under test, and its neighbors.

use super::lines::Line;
use super::session::Session;
use pace_hook::{Failure, Hook, Plugin};

/// The other plugins of a route, in the order of its list.
#[derive(Default)]
pub(super) struct Neighbors {
    before: Vec<Session>,
    after: Vec<Session>,
}

/// The failure of a neighbor, which ends the exchange.
#[derive(Clone, Debug)]
pub struct NeighborFailure {
    /// The name of the plugin.
    pub plugin: String,
    /// The hook that failed.
    pub hook: Hook,
    /// Why it failed.
    pub failure: Failure,
    /// The lines that this plugin logged.
    pub lines: Vec<Line>,
}

/// A hook that has failed, and the plugin that it is of.
pub(super) struct Failed<'s> {
    pub(super) plugin: &'s Session,
    pub(super) hook: Hook,
    pub(super) failure: Failure,
}

impl Session {
    /// Puts plugins before and behind this one in the list of a route. Exchanges then go through the hooks of all, as through a
    /// chain of Pace; what is asked of the session itself, such as counters and lines, is that of this plugin.
    ///
    /// Their names should differ, as in a configuration: values in the context of a request belong to a name.
    #[must_use]
    pub fn among(mut self, before: Vec<Session>, after: Vec<Session>) -> Session {
        self.neighbors = Neighbors { before, after };
        let own = self.neighbors.before.len();
        let before = self.neighbors.before.iter_mut().enumerate();
        let after = self.neighbors.after.iter_mut().enumerate();
        let after = after.map(|(index, plugin)| (own + 1 + index, plugin));
        for (index, plugin) in before.chain(after) {
            plugin.place = u32::try_from(index).expect("a list is not that long");
        }
        self.place = u32::try_from(own).expect("a list is not that long");
        self
    }

    /// The plugins of the route in the order of its list.
    pub(super) fn route(&self) -> impl DoubleEndedIterator<Item = &Session> {
        let Neighbors { before, after } = &self.neighbors;
        before.iter().chain([self]).chain(after)
    }

    /// The name in the operator's configuration.
    pub fn name(&self) -> &str {
        self.plugin().name()
    }
}

impl<'s> Failed<'s> {
    /// Adds plugin and hook to a failure.
    pub(super) fn of(plugin: &'s Session, hook: Hook) -> impl FnOnce(Failure) -> Failed<'s> {
        move |failure| Failed {
            plugin,
            hook,
            failure,
        }
    }
}
