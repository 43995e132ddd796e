//! Compiling a file before it is certain that it has been written to its end.
//!
//! A file has to be quiet for a while before it is taken, and compiling it takes longer than that. Most files are
//! written at once, so the two can go on at the same time. What comes of it is kept until the file is quiet: if it has
//! the same content then, it serves at once, or what is wrong with it is said. As it may not be wanted in the end, it
//! gets no time that somebody else wants.

use log::debug;

use super::manager::Manager;
use super::programs::{Code, Content};
use crate::config::{self, Sha256};
use crate::plugin::{LoadError, Settings, Time};

/// A content that a plugin's file has had, compiled.
pub(super) struct Early {
    /// What it was compiled for.
    entry: config::Plugin,
    sha256: Sha256,
    /// `None` if there was not enough time.
    pub(super) code: Option<Result<Code, LoadError>>,
    /// As in `Managed`, before it was compiled.
    pub(super) asked_back: u64,
}

impl Manager {
    /// Compiles what a plugin's file has, unless it was looked at already, or one has been compiled since the plugin's
    /// file was last taken or refused: who writes with pauses has the rest compiled when it is complete, and not after
    /// each of them.
    pub(super) fn compile_early(&mut self, name: &str) {
        if self.early.contains_key(name) {
            return;
        }
        let Ok(managed) = self.serving.managed(name) else {
            return;
        };
        let entry = managed.entry;
        // What cannot be read now may be on its way.
        let Ok(content) = Content::read(&entry.source) else {
            return;
        };
        let sha256 = content.sha256;
        if managed.seen == Some(sha256) || managed.current.sha256 == sha256 {
            return;
        }
        debug!("plugin `{name}`: sha256 {sha256} may not be all of it yet");
        let code = match self.programs.code(&entry, content, Time::Spare) {
            Err(LoadError::CompileTimeout(_) | LoadError::NoProcess(_) | LoadError::CompilerBroke(_)) => None,
            done => Some(done),
        };
        let early = Early {
            entry,
            sha256,
            code,
            asked_back: managed.asked_back,
        };
        self.early.insert(name.to_owned(), early);
    }
}

impl Early {
    /// Whether this is the code that is wanted now. The configuration may have changed, as the file may have.
    pub(super) fn is_of(&self, entry: &config::Plugin, sha256: Sha256) -> bool {
        let wanted = |entry: &config::Plugin| (entry.sha256, Settings::from(entry).allocation());
        self.sha256 == sha256 && wanted(&self.entry) == wanted(entry)
    }
}
