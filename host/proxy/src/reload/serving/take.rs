//! Replaces the configuration that serves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::super::changes::Changes;
use super::super::next::NextPlugins;
use super::super::outcome::{Begun, Published};
use super::super::status::PluginRecord;
use super::{Serving, ServingGuard};
use crate::snapshot::{Snapshot, plugin_of_scope};
use pace_config::Config;

impl ServingGuard<'_> {
    /// Makes new requests use this snapshot, and the configuration and plugins that it was built from.
    pub(in super::super) fn take(
        &mut self,
        snapshot: Snapshot,
        config: Config,
        next: NextPlugins,
    ) -> Published {
        let serving = self.serving;
        let before = serving.plugins();
        let (after, read) = next.into_parts();
        let scopes: HashSet<String> = snapshot.scopes().map(str::to_owned).collect();
        self.publish(snapshot);
        serving.shared.store.set_limit(config.server.state);
        serving.shared.bodies.set_limit(config.server.bodies);
        serving.status.set(after.clone());
        serving.forget_all_but(&scopes, &config);
        let changes = Changes::between(&self.config, &config);
        *self.config = config;
        for name in &read {
            serving.shared.metrics.reloaded(name, "published");
        }
        Published {
            configuration: Some(changes),
            generations: serving.announce(&before, &after),
        }
    }
}

impl Serving {
    /// Drops the state of plugins that are no longer in the configuration.
    fn forget_all_but(&self, scopes: &HashSet<String>, config: &Config) {
        let plugins: HashSet<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        self.shared
            .store
            .retain(|scope| scopes.contains(scope) || plugins.contains(plugin_of_scope(scope)));
    }

    /// Tells generations that they serve from now on, or no longer.
    fn announce(
        &self,
        before: &BTreeMap<String, PluginRecord>,
        after: &BTreeMap<String, PluginRecord>,
    ) -> Vec<Begun> {
        let mut generations = Vec::new();
        for (name, old) in before {
            let current = after.get(name).map(|record| &record.current);
            if current.is_none_or(|current| !Arc::ptr_eq(current, &old.current)) {
                old.current.retire();
            }
        }
        for (name, PluginRecord { current, .. }) in after {
            let old = before.get(name).map(|record| &record.current);
            if old.is_some_and(|old| Arc::ptr_eq(old, current)) {
                continue;
            }
            current.serve();
            self.shared.metrics.generation(name, current.number);
            generations.push(Begun::new(current, old.map(AsRef::as_ref)));
        }
        generations
    }
}
