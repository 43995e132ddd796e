//! Rereads the plugin's configuration when the file of cases that it comes from is saved.

use std::fs;
use std::path::PathBuf;

use log::{error, info};

use pace_config::{Config, Sha256, Source};
use pace_follow::Found;
use pace_proxy::reload::{ReloadOutcome, Reloader};

/// The configuration from `[defaults]`, and whether it was refused.
pub(super) struct Defaults {
    file: PathBuf,
    /// Reads the whole configuration again, with the command line.
    read: Box<dyn Fn() -> Result<Config, String> + Send>,
    reloader: Reloader,
    wanted: Config,
    is_refused: bool,
}

impl Defaults {
    /// For a file, which said `serving` when it was last read.
    pub(super) fn new(
        file: PathBuf,
        serving: Config,
        reloader: Reloader,
        read: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> Defaults {
        Defaults {
            file,
            read: Box::new(read),
            reloader,
            wanted: serving,
            is_refused: false,
        }
    }

    pub(super) fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Reads the file again if it has changed.
    pub(super) fn note(&mut self, found: &Found) {
        if !found.changed.contains(&self.file) {
            return;
        }
        match (self.read)() {
            Ok(config) if config == self.wanted => {}
            Ok(config) => {
                self.wanted = config;
                self.take();
            }
            Err(reason) => error!(target: "pace::author", "{reason}"),
        }
    }

    /// Tries a refused configuration again after a build: the new plugin may accept it.
    pub(super) fn try_again(&mut self) {
        if self.is_refused {
            self.take();
        }
    }

    fn take(&mut self) {
        let outcome = self.configure();
        self.is_refused = outcome.is_refused();
        match outcome {
            ReloadOutcome::Refused(refused) => error!(target: "pace::author", "{refused}"),
            done => info!(target: "pace::author", "{done}"),
        }
    }

    /// Applies the wanted configuration. A new key needs the new configuration and the new plugin together:
    /// neither is taken without the other. So a configuration that the serving plugin refuses is tried with
    /// the plugin in the file, which a digest demands.
    fn configure(&self) -> ReloadOutcome {
        let outcome = self.reloader.configure(self.wanted.clone());
        let mut pinned = self.wanted.clone();
        let Some(entry) = pinned.plugins.first_mut() else {
            return outcome;
        };
        let (true, Source::File(path)) = (outcome.is_refused(), &entry.source) else {
            return outcome;
        };
        let Ok(content) = fs::read(path) else {
            return outcome;
        };
        entry.sha256 = Some(Sha256::of(&content));
        let taken = self.reloader.configure(pinned);
        if taken.is_refused() {
            return outcome;
        }
        // The next file has another digest.
        match self.reloader.configure(self.wanted.clone()) {
            refused @ ReloadOutcome::Refused(_) => refused,
            _ => taken,
        }
    }
}
