//! Compiling a file before it is certain that it has been written to its end.
//!
//! A file has to be quiet for a while before it is taken, and compiling it takes longer than that. Most files are
//! written at once, so the two can go on at the same time. What comes of it is kept until the file is quiet: if it has
//! the same content then, it serves at once, or what is wrong with it is said. As it may not be wanted in the end, it
//! gets hardly any time that somebody else wants.

use std::collections::HashMap;

use log::debug;

use super::programs::{Code, Content, Programs};
use super::status::Managed;
use pace_config::Sha256;
use pace_sandbox::{Allocation, CpuTime, LoadError, Settings};

/// Contents that were compiled early, one of each plugin at most, by its name.
#[derive(Default)]
pub(super) struct EarlyCodes(HashMap<String, Early>);

/// A content that a plugin's file has had, compiled.
pub(super) struct Early {
    sha256: Sha256,
    compiled_for: For,
    /// `None` if there was not enough time.
    pub(super) code: Option<Result<Code, LoadError>>,
    /// As in `Managed`, before it was compiled.
    pub(super) asked_back: u64,
}

/// What of a plugin's entry its code depends on: the pin, and where instances get their memory.
type For = (Option<Sha256>, Allocation);

fn compiled_for(entry: &pace_config::Plugin) -> For {
    (entry.sha256, Settings::from(entry).allocation())
}

impl EarlyCodes {
    /// Compiles what a plugin's file has, unless it was looked at already, or one has been compiled since the plugin's
    /// file was last taken or refused: who writes with pauses has the rest compiled when it is complete, and not after
    /// each of them. Whether something was compiled, which can take some seconds.
    pub(super) fn compile(&mut self, managed: &Managed, programs: &Programs) -> bool {
        let entry = &managed.entry;
        let name = &entry.name;
        if self.0.contains_key(name) {
            return false;
        }
        // What cannot be read now may be on its way.
        let Ok(content) = Content::read(&entry.source) else {
            return false;
        };
        let sha256 = content.sha256;
        if managed.seen == Some(sha256) || managed.current.sha256 == sha256 {
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
            asked_back: managed.asked_back,
        };
        self.0.insert(name.clone(), early);
        true
    }

    /// Gives away what has been compiled for a plugin.
    pub(super) fn remove(&mut self, name: &str) -> Option<Early> {
        self.0.remove(name)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Early {
    /// Whether this is the code that is wanted now. The configuration may have changed, as the file may have.
    pub(super) fn is_of(&self, entry: &pace_config::Plugin, sha256: Sha256) -> bool {
        self.sha256 == sha256 && self.compiled_for == compiled_for(entry)
    }
}
