//! The plugins of another configuration, made before anything is replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::configuration::NotTaken;
use super::difference::{Change, change};
use super::programs::{Code, Content, Programs};
use super::serving::Rejected;
use super::status::{Managed, file_name};
use pace_config::{Config, Sha256};
use pace_hook::Failure;
use pace_sandbox::{CpuTime, Generation, LoadError};

/// The plugins of a configuration, before they serve.
pub(super) struct Next {
    plugins: BTreeMap<String, Managed>,
    /// Those whose file was read.
    read: Vec<String>,
}

/// What has been compiled for a configuration, by the plugin's name.
#[derive(Default)]
pub(super) struct Codes(BTreeMap<String, Code>);

impl Codes {
    /// Compiles what this configuration needs of what is not there yet, after the plugins that serve.
    pub(super) fn compile_for(
        &mut self,
        config: &Config,
        before: &BTreeMap<String, Managed>,
        programs: &Programs,
    ) -> Result<(), NotTaken> {
        for entry in &config.plugins {
            let known = before.get(&entry.name);
            if needed(entry, known) != Change::Code || self.0.contains_key(&entry.name) {
                continue;
            }
            let content = Content::read(&entry.source).map_err(|reason| rejected(entry, None, reason))?;
            let sha256 = content.sha256;
            ensure_fit(entry, known, sha256)?;
            let code = programs.code(entry, content, CpuTime::SpareFirst);
            let code = code.map_err(|reason| rejected(entry, Some(sha256), reason))?;
            self.0.insert(entry.name.clone(), code);
        }
        Ok(())
    }
}

impl Next {
    /// The plugins of this configuration, after those that serve now. `None` if something has to be compiled
    /// first: what serves may have changed while other things were.
    pub(super) fn new(
        config: &Config,
        before: &BTreeMap<String, Managed>,
        codes: &Codes,
        programs: &Programs,
    ) -> Result<Option<Next>, NotTaken> {
        let mut next = Next {
            plugins: BTreeMap::new(),
            read: Vec::new(),
        };
        for entry in &config.plugins {
            let known = before.get(&entry.name);
            let change = needed(entry, known);
            let managed = match (known, change, codes.0.get(&entry.name)) {
                (Some(known), Change::Nothing, _) => Managed {
                    entry: entry.clone(),
                    ..known.clone()
                },
                (Some(known), Change::Settings, _) => {
                    let generation = known.current.with_settings_of(entry, known.last_number + 1);
                    advanced(known, entry, Arc::new(generation))
                }
                (known, _, Some(code)) => {
                    ensure_fit(entry, known, code.sha256)?;
                    next.read.push(entry.name.clone());
                    with_code(entry, known, code, programs)
                }
                (_, _, None) => return Ok(None),
            };
            next.plugins.insert(entry.name.clone(), managed);
        }
        Ok(Some(next))
    }

    /// The plugins, by name.
    pub(super) fn plugins(&self) -> &BTreeMap<String, Managed> {
        &self.plugins
    }

    /// The plugins, and the names of those whose file was read.
    pub(super) fn into_parts(self) -> (BTreeMap<String, Managed>, Vec<String>) {
        (self.plugins, self.read)
    }

    /// Who is to blame when a plugin cannot be configured: the file that has just been read, or else the new
    /// configuration.
    pub(super) fn blame(&self, plugin: String, failure: Failure) -> NotTaken {
        match self.plugins.get(&plugin) {
            Some(managed) if self.read.contains(&plugin) => rejected(
                &managed.entry,
                Some(managed.current.sha256),
                LoadError::Configure(failure),
            ),
            known => NotTaken::Configure {
                file: known.map_or(String::new(), |managed| file_name(&managed.entry.source)),
                plugin,
                detail: failure.detail,
            },
        }
    }
}

fn with_code(
    entry: &pace_config::Plugin,
    known: Option<&Managed>,
    code: &Code,
    programs: &Programs,
) -> Managed {
    let number = known.map_or(1, |known| known.last_number + 1);
    let generation = programs.generation(entry, number, code);
    match known {
        None => Managed::new(entry.clone(), generation),
        Some(known) => Managed {
            seen: Some(code.sha256),
            refused: None,
            ..advanced(known, entry, generation)
        },
    }
}

/// What a plugin's entry needs, given what is there.
fn needed(entry: &pace_config::Plugin, known: Option<&Managed>) -> Change {
    known.map_or(Change::Code, |known| {
        change(&known.entry, entry, known.current.sha256)
    })
}

/// That what was unfit still lies there is no wish to have it again; a pin on it is.
fn ensure_fit(entry: &pace_config::Plugin, known: Option<&Managed>, sha256: Sha256) -> Result<(), NotTaken> {
    let unfit = known.and_then(|known| known.unfit(sha256));
    match unfit.filter(|_| entry.sha256.is_none()) {
        Some(unfit) => Err(rejected(entry, Some(sha256), LoadError::Unfit(unfit.number))),
        None => Ok(()),
    }
}

fn rejected(entry: &pace_config::Plugin, sha256: Option<Sha256>, reason: LoadError) -> NotTaken {
    NotTaken::Plugin(Box::new(Rejected {
        entry: entry.clone(),
        sha256,
        reason,
    }))
}

fn advanced(known: &Managed, entry: &pace_config::Plugin, generation: Arc<Generation>) -> Managed {
    let mut managed = Managed {
        entry: entry.clone(),
        ..known.clone()
    };
    managed.advance(generation);
    managed
}
