//! Drains, by which an operator takes backends out.

use log::info;
use tokio::time::Instant;

use super::Pool;

impl Pool {
    /// Drains a backend, or ends that. `named` is its label or its address; a name with several addresses stands for all of its
    /// backends. Returns the labels of the backends that this has changed; `None` if there is no such backend.
    pub fn drain(&self, named: &str, is_draining: bool) -> Option<Vec<String>> {
        let mut roster = self.roster.lock();
        let now = Instant::now();
        let mut changed = Vec::new();
        let mut is_known = false;
        for backend in roster.called(named) {
            is_known = true;
            let has_changed = backend.standing.with(|facts| {
                let was_draining = std::mem::replace(&mut facts.is_draining, is_draining);
                if !is_draining {
                    backend.standing.set_closed(false);
                }
                if was_draining && !is_draining && !self.settings.upkeep.slow_start.is_zero() {
                    facts.slow_since = Some(now);
                }
                was_draining != is_draining
            });
            if has_changed {
                changed.push(backend.label.clone());
            }
        }
        self.refresh(&mut roster, now);
        if is_draining {
            // Not before the members tell it: a request that is turned away looks there for another backend.
            for backend in roster.called(named) {
                let standing = &backend.standing;
                standing.with(|facts| standing.set_closed(facts.is_draining));
            }
        }
        drop(roster);
        self.changes.tell();
        for label in &changed {
            match is_draining {
                true => {
                    info!(target: "pace::upstream", "pool `{}`: {label} drains: it gets nothing new", self.name)
                }
                false => info!(target: "pace::upstream", "pool `{}`: {label} is enabled again", self.name),
            }
        }
        is_known.then_some(changed)
    }
}
