//! The plugin's configuration, taken again when the file of cases that it comes from is saved.

use std::fs;
use std::path::PathBuf;

use log::{error, info};

use pace_config::{Config, Sha256, Source};
use pace_follow::Found;
use pace_proxy::reload::{Outcome, Reloader};

/// What `[defaults]` says, and whether that serves.
pub(super) struct Defaults {
    file: PathBuf,
    /// Reads all of it again, with the command line.
    read: Box<dyn Fn() -> Result<Config, String> + Send>,
    reloader: Reloader,
    wanted: Config,
    is_refused: bool,
}

impl Defaults {
    /// Of this file, of which `serving` is what it said.
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

    /// Takes what the file says if it has changed.
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

    /// The plugin has been built again: it may want what the one before did not.
    pub(super) fn try_again(&mut self) {
        if self.is_refused {
            self.take();
        }
    }

    fn take(&mut self) {
        let outcome = self.configure();
        self.is_refused = outcome.is_refused();
        match outcome {
            Outcome::Refused(refused) => error!(target: "pace::author", "{refused}"),
            done => info!(target: "pace::author", "{done}"),
        }
    }

    /// A key that is new needs the configuration and the plugin at once: neither is taken without the other. So what
    /// the plugin that serves refuses is tried with the one in the file, which a digest asks for.
    fn configure(&self) -> Outcome {
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
            refused @ Outcome::Refused(_) => refused,
            _ => taken,
        }
    }
}
