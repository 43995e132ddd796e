//! The plugins of another configuration, made before anything is replaced.

use std::collections::BTreeMap;

use super::configuration::Refused;
use super::difference::{Change, change};
use super::manager::Manager;
use super::plugins::Rejected;
use super::programs::{Content, From};
use super::status::Managed;
use crate::config::{self, Config};
use crate::hook::Failure;
use crate::plugin::LoadError;

/// The plugins of a configuration, before they serve.
pub(super) struct Next {
    pub(super) plugins: BTreeMap<String, Managed>,
    /// Those whose file was read.
    pub(super) read: Vec<String>,
}

impl Manager {
    /// Compiles what has to be compiled. Nobody is served with any of it yet.
    pub(super) fn next_plugins(
        &self,
        config: &Config,
        before: &BTreeMap<String, Managed>,
    ) -> Result<Next, Refused> {
        let mut next = Next {
            plugins: BTreeMap::new(),
            read: Vec::new(),
        };
        for entry in &config.plugins {
            let known = before.get(&entry.name);
            let change = known.map_or(Change::Code, |known| {
                change(&known.entry, entry, known.current.sha256)
            });
            if change == Change::Code {
                next.read.push(entry.name.clone());
            }
            let managed = self.next_managed(entry, known, change)?;
            next.plugins.insert(entry.name.clone(), managed);
        }
        Ok(next)
    }

    fn next_managed(
        &self,
        entry: &config::Plugin,
        known: Option<&Managed>,
        change: Change,
    ) -> Result<Managed, Refused> {
        let rejected = |sha256| {
            move |reason| {
                Refused::Plugin(Box::new(Rejected {
                    entry: entry.clone(),
                    sha256,
                    reason,
                }))
            }
        };
        let number = known.map_or(1, |known| known.last_number + 1);
        let from = match (known, change) {
            (Some(known), Change::Nothing) => {
                return Ok(Managed {
                    entry: entry.clone(),
                    ..known.clone()
                });
            }
            (Some(known), Change::Settings) => From::Serving(&known.current),
            (None, _) | (_, Change::Code) => {
                From::File(Content::read(&entry.source).map_err(rejected(None))?)
            }
        };
        let read = match &from {
            From::File(content) => Some(content.sha256),
            From::Serving(_) => None,
        };
        // That what was unfit still lies there is no wish to have it again; a pin on it is.
        let unfit = known.zip(read).and_then(|(known, read)| known.unfit(read));
        if let Some(unfit) = unfit.filter(|_| entry.sha256.is_none()) {
            return Err(rejected(read)(LoadError::Unfit(unfit.number)));
        }
        let generation = self
            .programs
            .next_generation(entry, number, from)
            .map_err(rejected(read))?;
        let Some(known) = known else {
            return Ok(Managed::new(entry.clone(), generation));
        };
        let mut managed = Managed {
            entry: entry.clone(),
            ..known.clone()
        };
        managed.advance(generation);
        if read.is_some() {
            managed.seen = read;
            managed.refused = None;
        }
        Ok(managed)
    }
}

impl Next {
    /// Who is to blame when a plugin cannot be configured: the file that has just been read, or else the new
    /// configuration.
    pub(super) fn blame(&self, plugin: String, failure: Failure) -> Refused {
        match self.plugins.get(&plugin) {
            Some(managed) if self.read.contains(&plugin) => Refused::Plugin(Box::new(Rejected {
                entry: managed.entry.clone(),
                sha256: Some(managed.current.sha256),
                reason: LoadError::Configure(failure),
            })),
            _ => Refused::Configure {
                plugin,
                detail: failure.detail,
            },
        }
    }
}
