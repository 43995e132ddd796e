//! Compiles a file before it is certain that it has been written to its end.
//!
//! A file has to be quiet for a while before it is taken, and compiling it takes longer than that. Most files are written at
//! once, so that Pace compiles them during the wait. The result is kept until the file is quiet: if its content is still the
//! same, it serves at once, or its error is reported. As the result may turn out useless, the compilation gets hardly any
//! processor time that others want.

use std::collections::HashMap;

use log::debug;

use super::programs::{Code, Content, Programs};
use super::status::PluginRecord;
use pace_config::Sha256;
use pace_sandbox::{Allocation, CpuTime, LoadError, Settings};

/// The code that was compiled early, by plugin: at most one for each.
#[derive(Default)]
pub(super) struct EarlyCodes(HashMap<String, Early>);

/// The code of a content that a plugin's file has had.
pub(super) struct Early {
    sha256: Sha256,
    compiled_for: CompileKey,
    /// The code, or the error; `None` if the compilation was given up.
    pub(super) code: Option<Result<Code, LoadError>>,
    /// The count in `PluginRecord` before the compilation.
    pub(super) requested_rollbacks: u64,
}

/// The parts of a plugin's entry that its code depends on: the pin, and the allocation of instances.
type CompileKey = (Option<Sha256>, Allocation);

fn compiled_for(entry: &pace_config::Plugin) -> CompileKey {
    (entry.sha256, Settings::from(entry).allocation())
}

impl EarlyCodes {
    /// Compiles the present content of a plugin's file, unless that was looked at already, or another was compiled early
    /// since the file was last taken or refused: a file that is written with pauses is compiled again when it is complete,
    /// and not after each pause. Returns whether something was compiled, which can take some seconds.
    pub(super) fn compile(&mut self, record: &PluginRecord, programs: &Programs) -> bool {
        let entry = &record.entry;
        let name = &entry.name;
        if self.0.contains_key(name) {
            return false;
        }
        // A file that cannot be read may still be on its way.
        let Ok(content) = Content::read(&entry.source) else {
            return false;
        };
        let sha256 = content.sha256;
        if record.seen == Some(sha256) || record.current.sha256 == sha256 {
            return false;
        }
        debug!(target: "pace::reload", "plugin `{name}`: sha256 {sha256} may not be all of it yet");
        let code = match programs.code(entry, content, CpuTime::Spare) {
            Err(
                error @ (LoadError::CompileTimeout(_)
                | LoadError::NoProcess(_)
                | LoadError::CompilerBroke(_)
                | LoadError::CompilerOutOfMemory),
            ) => {
                debug!(target: "pace::reload", "plugin `{name}`: sha256 {sha256} is not compiled yet: {error}");
                None
            }
            done => Some(done),
        };
        let early = Early {
            sha256,
            compiled_for: compiled_for(entry),
            code,
            requested_rollbacks: record.requested_rollbacks,
        };
        self.0.insert(name.clone(), early);
        true
    }

    /// Removes and returns the early code of a plugin.
    pub(super) fn remove(&mut self, name: &str) -> Option<Early> {
        self.0.remove(name)
    }

    /// Drops all early code.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Early {
    /// Whether this is the code for an entry and a content: both may have changed since.
    pub(super) fn is_of(&self, entry: &pace_config::Plugin, sha256: Sha256) -> bool {
        self.sha256 == sha256 && self.compiled_for == compiled_for(entry)
    }
}
