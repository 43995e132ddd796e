//! The configuration, snapshot and generations that serve, and how they are replaced.
//!
//! Two threads replace them: `manager`, which compiles, and `rollback`, which does not and so never waits for a
//! compilation. Each makes its change under a [`ServingGuard`], which it holds for a short time: nothing is read or compiled
//! meanwhile.

mod take;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::outcome::Refused;
use super::status::{PluginRecord, RefusedFile, Status, file_name, seconds};
use crate::certificates::Frontends;
use crate::snapshot::{DEFAULT_BALANCER, Generations, Misconfigured, Shared, Snapshot};
use crate::telemetry::Sinks;
use crate::upstream::{Answers, Pool};
use pace_base::escape::Shown;
use pace_config::{Config, Sha256};
use pace_hook::Failure;
use pace_sandbox::{Generation, LoadError};

/// The configuration, snapshot and generations that serve.
pub(super) struct Serving {
    shared: Arc<Shared>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    balancer: Arc<Generation>,
    /// The configuration, locked by a thread that replaces anything.
    config: Mutex<Config>,
}

/// The exclusive right to replace what serves, for as long as it is held.
pub(super) struct ServingGuard<'a> {
    serving: &'a Serving,
    config: MutexGuard<'a, Config>,
}

/// A plugin's file that was not taken.
pub(super) struct Rejected {
    pub(super) entry: pace_config::Plugin,
    /// The hash of the file, if it could be read.
    pub(super) sha256: Option<Sha256>,
    pub(super) reason: LoadError,
}

impl Serving {
    pub(super) fn new(
        config: Config,
        shared: Arc<Shared>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        status: Arc<Status>,
        balancer: Arc<Generation>,
    ) -> Serving {
        Serving {
            shared,
            snapshot,
            status,
            balancer,
            config: Mutex::new(config),
        }
    }

    /// The certificates that serve.
    pub(super) fn frontends(&self) -> Arc<Frontends> {
        Arc::clone(&self.snapshot.load().frontends)
    }

    /// The access log and the tracer that serve.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.snapshot.load().sinks)
    }

    /// Locks everything that serves, after a change that is under way.
    pub(super) fn lock(&self) -> ServingGuard<'_> {
        ServingGuard {
            serving: self,
            config: self.config.lock(),
        }
    }

    /// Looks the names of all backends up again, while requests are served.
    pub(super) fn look_up_names(&self) {
        let snapshot = self.snapshot.load_full();
        let named: Vec<_> = snapshot.pools().flat_map(|pool| pool.named()).collect();
        let answers = look_up(&self.shared, &named);
        for pool in snapshot.pools() {
            if pool.settle(&self.shared.metrics, &answers) {
                self.shared.changes.tell();
            }
        }
    }

    /// Drops the series of what does not serve: of the configuration before, or of one that was not taken.
    pub(super) fn forget_series(&self) {
        // No other configuration is built meanwhile, which would make series.
        let guard = self.lock();
        let config = guard.config();
        let snapshot = self.snapshot.load_full();
        let metrics = &self.shared.metrics;
        let plugins: HashSet<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        metrics.retain_plugins(|plugin| plugins.contains(plugin) || plugin == DEFAULT_BALANCER);
        metrics.retain_backends(|pool, backend| snapshot.has_backend(pool, backend));
        let routes: HashSet<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
        let pools: HashSet<&str> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
        metrics.retain_routes_and_pools(|route| routes.contains(route), |pool| pools.contains(pool));
        let has_queue = |pool: &Arc<Pool>| pool.queue_metrics.is_some();
        metrics.retain_queues(|pool| snapshot.pool(pool).is_some_and(has_queue));
        let mirrors: HashSet<&str> = config.mirrors().map(|pool| pool.name.as_str()).collect();
        metrics.retain_mirrors(|pool| mirrors.contains(pool));
    }

    /// The record of a plugin.
    pub(super) fn plugin(&self, name: &str) -> Result<PluginRecord, Refused> {
        self.status
            .of(name)
            .ok_or_else(|| Refused::UnknownPlugin(Shown::new(name).to_string()))
    }

    /// Changes the record of a plugin, if there is one of this name.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut PluginRecord)) {
        self.status.with(name, change);
    }

    /// The records of all plugins, by name.
    pub(super) fn plugins(&self) -> BTreeMap<String, PluginRecord> {
        self.status.plugins()
    }

    /// Records and counts that a file was not taken. Returns the sentence about it.
    pub(super) fn reject(&self, rejected: &Rejected) -> String {
        let sentence = self.sentence(rejected);
        let refusal = RefusedFile::now(rejected.sha256, rejected.reason.to_string());
        let name = &rejected.entry.name;
        self.with(name, |record| record.refused = Some(refusal));
        self.shared.metrics.reloaded(name, "refused");
        sentence
    }

    /// The sentence about a rejected file.
    pub(super) fn sentence(&self, rejected: &Rejected) -> String {
        let Rejected { entry, reason, .. } = rejected;
        let file = file_name(&entry.source);
        let serves_on = self.plugin(&entry.name).map_or(String::new(), |record| {
            let Generation { number, sha256, .. } = &*record.current;
            format!("; generation {number} (sha256 {sha256}) serves on")
        });
        format!(
            "plugin `{}` ({file}) is not taken: {reason}{serves_on}",
            entry.name
        )
    }
}

impl ServingGuard<'_> {
    /// The configuration that serves.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Builds a snapshot of a configuration and the generations of these plugins. It does not serve yet.
    pub(super) fn build(
        &self,
        config: &Config,
        plugins: &BTreeMap<String, PluginRecord>,
        (frontends, sinks): (Frontends, Sinks),
        answers: &Answers,
    ) -> Result<Snapshot, Misconfigured> {
        let generations = generations(plugins, &self.serving.balancer);
        let outside = (Arc::new(frontends), Arc::new(sinks));
        self.join(config, &generations, outside, answers)
    }

    /// Replaces the certificates for new connections.
    pub(super) fn renew(&self, frontends: Frontends) -> Result<(), Failure> {
        let generations = generations(&self.serving.plugins(), &self.serving.balancer);
        let answers = Answers::default();
        let outside = (Arc::new(frontends), self.serving.sinks());
        let joined = self.join(&self.config, &generations, outside, &answers);
        self.publish(joined.map_err(Misconfigured::into_failure)?);
        Ok(())
    }

    /// Replaces the generation of a plugin that serves, if the new one accepts every configuration of the plugin. The
    /// metrics count this as `result` before the first request is served with it, so that an observer of its effects finds
    /// it counted.
    pub(super) fn replace(&self, after: &Arc<Generation>, result: &str) -> Result<(), Failure> {
        let serving = self.serving;
        let name = &*after.plugin;
        let mut generations = generations(&serving.plugins(), &serving.balancer);
        let before = generations.insert(name.to_owned(), Arc::clone(after));
        let answers = Answers::default();
        let snapshot = self
            .join(
                &self.config,
                &generations,
                (serving.frontends(), serving.sinks()),
                &answers,
            )
            .map_err(Misconfigured::into_failure)?;
        serving.shared.metrics.reloaded(name, result);
        self.publish(snapshot);
        if let Some(before) = before {
            before.retire();
        }
        after.serve();
        serving.with(name, |record| record.advance(Arc::clone(after)));
        serving.shared.metrics.generation(name, after.number);
        Ok(())
    }

    fn join(
        &self,
        config: &Config,
        generations: &Generations,
        outside: (Arc<Frontends>, Arc<Sinks>),
        answers: &Answers,
    ) -> Result<Snapshot, Misconfigured> {
        let before = self.serving.snapshot.load();
        Snapshot::build(
            config,
            generations,
            outside,
            &self.serving.shared,
            Some(&before),
            answers,
        )
    }

    fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let before = self.serving.snapshot.swap(Arc::clone(&snapshot));
        snapshot.apply_limits();
        self.serving.shared.changes.tell();
        if !Arc::ptr_eq(&before.frontends, &snapshot.frontends) {
            snapshot.frontends.announce(&self.serving.shared.metrics);
        }
    }
}

impl RefusedFile {
    pub(super) fn now(sha256: Option<Sha256>, reason: String) -> RefusedFile {
        RefusedFile {
            sha256: sha256.map(|digest| digest.to_string()),
            reason,
            at: seconds(SystemTime::now()),
        }
    }
}

/// Looks the names of backends up. To be called while nothing is locked.
pub(super) fn look_up<'a>(
    shared: &Shared,
    backends: impl IntoIterator<Item = &'a pace_config::Backend>,
) -> Answers {
    match &shared.lookup {
        Some(lookup) => Answers::look_up(backends, lookup),
        None => Answers::default(),
    }
}

/// The generations of these plugins and of the default balancer, for a snapshot.
pub(super) fn generations(
    plugins: &BTreeMap<String, PluginRecord>,
    balancer: &Arc<Generation>,
) -> Generations {
    let named = plugins
        .iter()
        .map(|(name, record)| (name.clone(), Arc::clone(&record.current)));
    named
        .chain([(DEFAULT_BALANCER.to_owned(), Arc::clone(balancer))])
        .collect()
}
