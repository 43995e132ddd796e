//! Makes the plugins of another configuration, before anything is replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::configuration::NotTaken;
use super::difference::{Change, change};
use super::programs::{Code, Content, Programs};
use super::serving::Rejected;
use super::status::{PluginRecord, file_name};
use crate::snapshot::Misconfigured;
use pace_config::{Config, Sha256};
use pace_sandbox::{CpuTime, Generation, LoadError};

/// The plugins of a configuration, before they serve.
pub(super) struct NextPlugins {
    plugins: BTreeMap<String, PluginRecord>,
    /// The names of plugins whose file was read.
    read: Vec<String>,
}

/// The code that was compiled for a configuration, by the plugin's name.
#[derive(Default)]
pub(super) struct Codes(BTreeMap<String, Code>);

impl Codes {
    /// Compiles the plugins of a configuration for which neither the code that serves nor code from an earlier call fits.
    pub(super) fn compile_for(
        &mut self,
        config: &Config,
        before: &BTreeMap<String, PluginRecord>,
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

impl NextPlugins {
    /// Makes the plugins of a configuration, given those that serve. `None` if something has to be compiled first: the
    /// plugins that serve may have changed during other compilations.
    pub(super) fn new(
        config: &Config,
        before: &BTreeMap<String, PluginRecord>,
        codes: &Codes,
        programs: &Programs,
    ) -> Result<Option<NextPlugins>, NotTaken> {
        let mut next = NextPlugins {
            plugins: BTreeMap::new(),
            read: Vec::new(),
        };
        for entry in &config.plugins {
            let known = before.get(&entry.name);
            let change = needed(entry, known);
            let record = match (known, change, codes.0.get(&entry.name)) {
                (Some(known), Change::Nothing, _) => PluginRecord {
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
            next.plugins.insert(entry.name.clone(), record);
        }
        Ok(Some(next))
    }

    /// The plugins, by name.
    pub(super) fn plugins(&self) -> &BTreeMap<String, PluginRecord> {
        &self.plugins
    }

    /// The plugins, and the names of those whose file was read.
    pub(super) fn into_parts(self) -> (BTreeMap<String, PluginRecord>, Vec<String>) {
        (self.plugins, self.read)
    }

    /// The error if a plugin cannot be configured. It blames the plugin's file if that has just been read, or else the new
    /// configuration.
    pub(super) fn blame(&self, config: &Config, refused: Misconfigured) -> NotTaken {
        let known = self.plugins.get(&refused.plugin);
        if let Some(record) = known.filter(|_| self.read.contains(&refused.plugin)) {
            let reason = LoadError::Configure(refused.into_failure());
            return rejected(&record.entry, Some(record.current.sha256), reason);
        }
        NotTaken::Configure(match refused.problem(config) {
            Some(problem) => problem.to_string(),
            None => {
                let file = known.map_or(String::new(), |record| file_name(&record.entry.source));
                let plugin = refused.plugin.clone();
                format!("plugin `{plugin}` ({file}): {}", refused.into_failure().detail)
            }
        })
    }
}

fn with_code(
    entry: &pace_config::Plugin,
    known: Option<&PluginRecord>,
    code: &Code,
    programs: &Programs,
) -> PluginRecord {
    let number = known.map_or(1, |known| known.last_number + 1);
    let generation = programs.generation(entry, number, code);
    match known {
        None => PluginRecord::new(entry.clone(), generation),
        Some(known) => PluginRecord {
            seen: Some(code.sha256),
            refused: None,
            ..advanced(known, entry, generation)
        },
    }
}

/// The change that an entry demands, given the plugin's record.
fn needed(entry: &pace_config::Plugin, known: Option<&PluginRecord>) -> Change {
    known.map_or(Change::Code, |known| {
        change(&known.entry, entry, known.current.sha256)
    })
}

/// Refuses content that was unfit, unless the entry pins it: an unfit file that is still there is no wish to have it again.
fn ensure_fit(
    entry: &pace_config::Plugin,
    known: Option<&PluginRecord>,
    sha256: Sha256,
) -> Result<(), NotTaken> {
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

fn advanced(known: &PluginRecord, entry: &pace_config::Plugin, generation: Arc<Generation>) -> PluginRecord {
    let mut record = PluginRecord {
        entry: entry.clone(),
        ..known.clone()
    };
    record.advance(generation);
    record
}
