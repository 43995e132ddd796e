//! What is served with, and how something else takes its place.
//!
//! Two threads replace what serves: `manager`, which compiles, and `rollback`, which does not and so never waits
//! for what does. Each makes its change in a [`Turn`], which is short: nothing is read or compiled in it.

mod take;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::outcome::Refused;
use super::status::{Managed, Refusal, Status, file_name, seconds};
use crate::snapshot::{DEFAULT_BALANCER, Environment, Generations, Snapshot};
use pace_base::escape::Shown;
use pace_config::{Config, Sha256};
use pace_hook::Failure;
use pace_sandbox::{Generation, LoadError};

/// What is served with.
pub(super) struct Serving {
    environment: Arc<Environment>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    balancer: Arc<Generation>,
    /// Held by whoever replaces anything.
    config: Mutex<Config>,
}

/// The right to replace what serves. Nobody else does while somebody has it.
pub(super) struct Turn<'a> {
    serving: &'a Serving,
    config: MutexGuard<'a, Config>,
}

/// A plugin's file that is not taken.
pub(super) struct Rejected {
    pub(super) entry: pace_config::Plugin,
    /// What it hashes to, if it could be read.
    pub(super) sha256: Option<Sha256>,
    pub(super) reason: LoadError,
}

impl Serving {
    pub(super) fn new(
        config: Config,
        environment: Arc<Environment>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        status: Arc<Status>,
        balancer: Arc<Generation>,
    ) -> Serving {
        Serving {
            environment,
            snapshot,
            status,
            balancer,
            config: Mutex::new(config),
        }
    }

    /// Waits until nobody else replaces anything.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn {
            serving: self,
            config: self.config.lock(),
        }
    }

    /// Looks the names of all backends up again, while everything is served on. What was counted of those that are gone is
    /// forgotten.
    pub(super) fn look_up_names(&self) {
        let snapshot = self.snapshot.load_full();
        snapshot.look_up_names(&self.environment.metrics);
        self.environment
            .metrics
            .retain_backends(|pool, backend| snapshot.has_backend(pool, backend));
    }

    /// What is known of a plugin.
    pub(super) fn managed(&self, name: &str) -> Result<Managed, Refused> {
        self.status
            .of(name)
            .ok_or_else(|| Refused::UnknownPlugin(Shown::new(name).to_string()))
    }

    /// Changes what is known of a plugin, if there is one of this name.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut Managed)) {
        self.status.with(name, change);
    }

    /// Every plugin.
    pub(super) fn plugins(&self) -> BTreeMap<String, Managed> {
        self.status.plugins()
    }

    /// Notes and counts that a file was not taken, and says so in one sentence.
    pub(super) fn reject(&self, rejected: &Rejected) -> String {
        let sentence = self.sentence(rejected);
        let refusal = Refusal::now(rejected.sha256, rejected.reason.to_string());
        let name = &rejected.entry.name;
        self.with(name, |managed| managed.refused = Some(refusal));
        self.environment.metrics.reloaded(name, "refused");
        sentence
    }

    /// What a rejection is called in the log.
    pub(super) fn sentence(&self, rejected: &Rejected) -> String {
        let Rejected { entry, reason, .. } = rejected;
        let file = file_name(&entry.source);
        let serves_on = self.managed(&entry.name).map_or(String::new(), |managed| {
            let Generation { number, sha256, .. } = &*managed.current;
            format!("; generation {number} (sha256 {sha256}) serves on")
        });
        format!(
            "plugin `{}` ({file}) is not taken: {reason}{serves_on}",
            entry.name
        )
    }
}

impl Turn<'_> {
    /// The configuration that serves.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Joins a configuration with generations. Nobody is served with it yet.
    pub(super) fn build(
        &self,
        config: &Config,
        plugins: &BTreeMap<String, Managed>,
    ) -> Result<Snapshot, (String, Failure)> {
        self.join(config, &generations(plugins, &self.serving.balancer))
    }

    /// A generation takes the place of the one that serves, if every configuration of the plugin suits it. That is
    /// counted as this `result` before the first request is served with it, so that who has seen its work finds
    /// it counted.
    pub(super) fn replace(&self, after: &Arc<Generation>, result: &str) -> Result<(), Failure> {
        let serving = self.serving;
        let name = &*after.plugin;
        let mut generations = generations(&serving.plugins(), &serving.balancer);
        let before = generations.insert(name.to_owned(), Arc::clone(after));
        let snapshot = self
            .join(&self.config, &generations)
            .map_err(|(_, failure)| failure)?;
        serving.environment.metrics.reloaded(name, result);
        self.publish(snapshot);
        if let Some(before) = before {
            before.retire();
        }
        after.serve();
        serving.with(name, |managed| managed.advance(Arc::clone(after)));
        serving.environment.metrics.generation(name, after.number);
        Ok(())
    }

    fn join(&self, config: &Config, generations: &Generations) -> Result<Snapshot, (String, Failure)> {
        let before = self.serving.snapshot.load();
        Snapshot::build(config, generations, &self.serving.environment, Some(&before))
    }

    fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        self.serving.snapshot.store(Arc::clone(&snapshot));
        snapshot.apply_limits();
    }
}

impl Refusal {
    pub(super) fn now(sha256: Option<Sha256>, reason: String) -> Refusal {
        Refusal {
            sha256: sha256.map(|digest| digest.to_string()),
            reason,
            at: seconds(SystemTime::now()),
        }
    }
}

/// What a snapshot is built with.
pub(super) fn generations(plugins: &BTreeMap<String, Managed>, balancer: &Arc<Generation>) -> Generations {
    let named = plugins
        .iter()
        .map(|(name, managed)| (name.clone(), Arc::clone(&managed.current)));
    named
        .chain([(DEFAULT_BALANCER.to_owned(), Arc::clone(balancer))])
        .collect()
}
