//! The configuration file, which is taken as a whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use super::Origin;
use super::difference::needs_restart;
use super::manager::RESCAN;
use super::next::{Codes, NextPlugins};
use super::outcome::{Published, Refused, ReloadOutcome};
use super::programs::Programs;
use super::serving::{Rejected, Serving, look_up};
use crate::certificates::{self, FrontendError, Frontends};
use crate::server::BindError;
use crate::snapshot::Shared;
use crate::telemetry::{SinkError, Sinks};
use pace_config::{Config, Source};
use pace_follow::{Follower, Found};

/// The configuration file, and whether its content serves.
pub(super) struct Configuration {
    origin: Origin,
    shared: Arc<Shared>,
    serving: Arc<Serving>,
    programs: Arc<Programs>,
    /// The configuration in the file, if it is not the one that serves.
    refused: Option<RefusedConfig>,
    /// Whether a certificate's file has changed since it was last read.
    is_renewal_due: bool,
}

/// A configuration that was not taken. It is tried again, because it may need something that comes later, or may have
/// been half written.
struct RefusedConfig {
    /// The reason, as it was reported.
    reason: String,
    /// The configuration that was tried. `None` if the file could not be read, the system was at fault, or a file of
    /// its plugins has changed since. It is not tried again before something has changed, because that could mean
    /// compiling a large plugin every two seconds.
    tried: Option<Config>,
    /// The files of its plugins.
    files: Vec<PathBuf>,
    again_at: Instant,
}

/// A reason why a configuration is not taken.
pub(super) enum NotTaken {
    /// The file is wrong.
    File(pace_config::Error),
    /// These keys differ, and need a restart.
    NeedsRestart(Vec<&'static str>),
    /// A certificate cannot be served with.
    Certificates(FrontendError),
    /// The access log or the collector cannot be used.
    Sinks(SinkError),
    /// A port cannot be bound.
    Listen(BindError),
    /// A plugin's file is wrong.
    Plugin(Box<Rejected>),
    /// A plugin that already serves refuses its new configuration.
    Configure(String),
}

impl Configuration {
    pub(super) fn new(
        origin: Origin,
        shared: Arc<Shared>,
        serving: Arc<Serving>,
        programs: Arc<Programs>,
    ) -> Configuration {
        Configuration {
            origin,
            shared,
            serving,
            programs,
            refused: None,
            is_renewal_due: false,
        }
    }

    /// The files to follow: the configuration's own, and those that it waits for.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let refused = self.refused.iter().flat_map(|refused| &refused.files);
        let paths = self.origin.path.iter().chain(refused).cloned();
        paths.chain(self.certificates()).chain(self.secrets())
    }

    /// The files of the secrets of plugins that serve.
    fn secrets(&self) -> Vec<PathBuf> {
        let guard = self.serving.lock();
        secrets(guard.config()).map(Path::to_owned).collect()
    }

    /// The files of the certificates that serve.
    fn certificates(&self) -> Vec<PathBuf> {
        let guard = self.serving.lock();
        certificates::files(guard.config()).map(Path::to_owned).collect()
    }

    /// Reads the configuration again and serves with it. If it did not change, the certificates are read again.
    pub(super) fn reload(&mut self, files: &mut Follower) -> ReloadOutcome {
        match self.try_config(false, files) {
            ReloadOutcome::Unchanged => self.renew_certificates(),
            outcome => outcome,
        }
    }

    /// Reads the configuration again if its file is among those found, or if it was refused and is due to be tried
    /// again. A failure that was already reported is not reported or counted again.
    pub(super) fn after(&mut self, found: &Found, files: &mut Follower) -> ReloadOutcome {
        let path = self.origin.path.as_ref();
        let certificates = self.certificates();
        self.is_renewal_due |= certificates.iter().any(|file| found.changed.contains(file));
        // Names are looked up again whenever the file is written, even if its content stays the same.
        if path.is_some_and(|path| found.changed.contains(path) || found.touched.contains(path)) {
            return self.reload(files);
        }
        if self.secrets().iter().any(|file| found.changed.contains(file)) {
            return self.try_config(false, files);
        }
        // A certificate and its key are written one after the other.
        if self.is_renewal_due && certificates.iter().all(|file| files.is_settled(file)) {
            return self.renew_certificates();
        }
        let Some(refused) = &mut self.refused else {
            return ReloadOutcome::Unchanged;
        };
        refused.note(&found.changed);
        let is_settled = path.is_none_or(|path| files.is_settled(path));
        if Instant::now() >= refused.again_at && is_settled {
            self.try_config(true, files)
        } else {
            ReloadOutcome::Unchanged
        }
    }

    /// Takes a configuration that does not come from a file.
    pub(super) fn configure(&self, config: Config, files: &mut Follower) -> ReloadOutcome {
        self.take(config, files)
            .unwrap_or_else(|refused| Refused::Configuration(self.reason(&refused)).into())
    }

    fn try_config(&mut self, again: bool, files: &mut Follower) -> ReloadOutcome {
        let Some(path) = &self.origin.path else {
            return ReloadOutcome::Unchanged;
        };
        if !again {
            files.take(path);
        }
        let before = self.refused.take();
        let loaded = Config::load(path, &self.origin.overrides);
        let tried = loaded.as_ref().ok().cloned();
        if again && tried.is_some() && before.as_ref().is_some_and(|before| before.tried == tried) {
            self.refused = before.map(|before| RefusedConfig {
                again_at: Instant::now() + RESCAN,
                ..before
            });
            return ReloadOutcome::Unchanged;
        }
        let refused = match loaded
            .map_err(NotTaken::File)
            .and_then(|config| self.take(config, files))
        {
            Ok(outcome) => {
                self.shared.metrics.process.config_read(true);
                if outcome != ReloadOutcome::Unchanged {
                    self.shared.metrics.config_reloaded("published");
                }
                return outcome;
            }
            Err(refused) => refused,
        };
        let reason = self.reason(&refused);
        let is_known = again && before.is_some_and(|before| before.reason == reason);
        let may_pass = matches!(&refused, NotTaken::Plugin(rejected) if rejected.reason.may_pass());
        self.refused = Some(RefusedConfig {
            reason: reason.clone(),
            files: tried
                .iter()
                .flat_map(|config| {
                    files_of(config)
                        .chain(certificates::files(config))
                        .chain(secrets(config))
                })
                .map(Path::to_owned)
                .collect(),
            tried: tried.filter(|_| !may_pass),
            again_at: Instant::now() + RESCAN,
        });
        if is_known {
            return ReloadOutcome::Unchanged;
        }
        self.shared.metrics.config_reloaded("refused");
        self.shared.metrics.process.config_read(false);
        if let NotTaken::Plugin(rejected) = refused {
            self.serving.reject(&rejected);
        }
        Refused::Configuration(reason).into()
    }

    fn take(&self, config: Config, files: &mut Follower) -> Result<ReloadOutcome, NotTaken> {
        let fixed = {
            let guard = self.serving.lock();
            match config == *guard.config() {
                true => None,
                false => Some(needs_restart(guard.config(), &config)),
            }
        };
        let Some(fixed) = fixed else {
            self.serving.look_up_names();
            return Ok(ReloadOutcome::Unchanged);
        };
        if !fixed.is_empty() {
            return Err(NotTaken::NeedsRestart(fixed));
        }
        files_of(&config)
            .chain(certificates::files(&config))
            .chain(secrets(&config))
            .for_each(|file| files.peek(file));
        let published = self.compile_and_publish(&config);
        self.serving.forget_series();
        published.map(ReloadOutcome::Published)
    }

    fn compile_and_publish(&self, config: &Config) -> Result<Published, NotTaken> {
        let mut codes = Codes::default();
        loop {
            codes.compile_for(config, &self.serving.plugins(), &self.programs)?;
            // A rollback in the meantime may have made another program necessary.
            if let Some(published) = self.publish(config, &codes)? {
                return Ok(published);
            }
        }
    }

    /// Serves with this configuration. `None` if something must be compiled first.
    fn publish(&self, config: &Config, codes: &Codes) -> Result<Option<Published>, NotTaken> {
        // Files are read and names looked up before the guard is taken, and never while it is held.
        let answers = look_up(&self.shared, config.pools.iter().flat_map(|pool| &pool.backends));
        let before = self.serving.frontends();
        let frontends = Frontends::load(config, &self.shared.listeners, Some(&before));
        let frontends = frontends.map_err(NotTaken::Certificates)?;
        let sinks = Sinks::open(config, Some(&*self.serving.sinks())).map_err(NotTaken::Sinks)?;
        let mut guard = self.serving.lock();
        let before = self.serving.plugins();
        let Some(next) = NextPlugins::new(config, &before, codes, &self.programs)? else {
            return Ok(None);
        };
        let snapshot = guard
            .build(config, next.plugins(), (frontends, sinks), &answers)
            .map_err(|refused| next.blame(config, refused))?;
        let listeners = &self.shared.listeners;
        let sockets = listeners
            .sockets()
            .prepare(config, listeners)
            .map_err(NotTaken::Listen)?;
        for warning in config.warnings() {
            warn!(target: "pace::reload", "{warning}");
        }
        let published = guard.take(snapshot, config.clone(), next);
        listeners.sockets().take(sockets);
        Ok(Some(published))
    }

    /// Gives new connections the certificates that are now in the files. In the places of those that cannot be used, the old
    /// ones serve on.
    pub(super) fn renew_certificates(&mut self) -> ReloadOutcome {
        self.is_renewal_due = false;
        let config = self.serving.lock().config().clone();
        let before = self.serving.frontends();
        let (frontends, kept) = match Frontends::renew(&config, &self.shared.listeners, &before) {
            Ok(renewed) => renewed,
            Err(error) => return Refused::Certificates(error.to_string()).into(),
        };
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        let kept = (!kept.is_empty()).then(|| kept.join("; "));
        if frontends.have_content_of(&before) {
            return match kept {
                Some(reasons) => Refused::Certificates(reasons).into(),
                None => ReloadOutcome::Unchanged,
            };
        }
        let renewed = self.serving.lock().renew(frontends);
        let taken = self.serving.frontends().describe();
        match (renewed, kept) {
            (Ok(()), None) => ReloadOutcome::Renewed(taken),
            (Ok(()), Some(reasons)) => ReloadOutcome::PartlyRenewed(taken, reasons),
            (Err(failure), _) => Refused::Certificates(failure.to_string()).into(),
        }
    }

    fn reason(&self, refused: &NotTaken) -> String {
        match refused {
            NotTaken::Certificates(error) => error.to_string(),
            NotTaken::Listen(error) => error.to_string(),
            NotTaken::Sinks(error) => error.to_string(),
            NotTaken::File(error) => error.to_string(),
            NotTaken::NeedsRestart(keys) => format!("{} can only change with a restart", keys.join(", ")),
            NotTaken::Plugin(rejected) => self.serving.sentence(rejected),
            NotTaken::Configure(sentence) => sentence.clone(),
        }
    }
}

impl RefusedConfig {
    /// Makes a refused configuration due again if one of its files has changed.
    fn note(&mut self, changed: &[PathBuf]) {
        if self.files.iter().any(|file| changed.contains(file)) {
            self.tried = None;
        }
    }
}

fn secrets(config: &Config) -> impl Iterator<Item = &Path> {
    config.plugins.iter().flat_map(|plugin| plugin.secrets.files())
}

fn files_of(config: &Config) -> impl Iterator<Item = &Path> {
    config.plugins.iter().filter_map(|plugin| match &plugin.source {
        Source::File(path) => Some(path.as_path()),
        Source::Builtin(_) => None,
    })
}
