//! Another configuration takes the place of the one that serves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::super::next::Next;
use super::super::outcome::{Begun, Published};
use super::super::status::Managed;
use super::{Serving, Turn};
use crate::snapshot::{DEFAULT_BALANCER, Snapshot, plugin_of_scope};
use pace_config::Config;

impl Turn<'_> {
    /// New requests are served with this configuration and these plugins, of which the snapshot was made.
    pub(in super::super) fn take(&mut self, snapshot: Snapshot, config: Config, next: Next) -> Published {
        let serving = self.serving;
        let before = serving.plugins();
        let (after, read) = next.into_parts();
        let scopes: HashSet<String> = snapshot.scopes().map(str::to_owned).collect();
        self.publish(snapshot);
        serving.environment.store.set_limit(config.server.state);
        serving.status.set(after.clone());
        serving.forget_all_but(&scopes, &config);
        *self.config = config;
        for name in &read {
            serving.environment.metrics.reloaded(name, "published");
        }
        serving.announce(&before, &after)
    }
}

impl Serving {
    /// Forgets what was counted by plugins that are not in the configuration any more, and what was counted of them.
    fn forget_all_but(&self, scopes: &HashSet<String>, config: &Config) {
        let plugins: HashSet<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        self.environment
            .store
            .retain(|scope| scopes.contains(scope) || plugins.contains(plugin_of_scope(scope)));
        self.environment
            .metrics
            .retain_plugins(|plugin| plugins.contains(plugin) || plugin == DEFAULT_BALANCER);
    }

    /// Tells generations whether they serve now.
    fn announce(&self, before: &BTreeMap<String, Managed>, after: &BTreeMap<String, Managed>) -> Published {
        let mut generations = Vec::new();
        for (name, old) in before {
            let current = after.get(name).map(|managed| &managed.current);
            if current.is_none_or(|current| !Arc::ptr_eq(current, &old.current)) {
                old.current.retire();
            }
        }
        for (name, Managed { current, .. }) in after {
            let old = before.get(name).map(|managed| &managed.current);
            if old.is_some_and(|old| Arc::ptr_eq(old, current)) {
                continue;
            }
            current.serve();
            self.environment.metrics.generation(name, current.number);
            generations.push(Begun::new(current, old.map(AsRef::as_ref)));
        }
        Published {
            configuration: true,
            generations,
        }
    }
}
