//! Compiling a file before it is certain that it has been written to its end.
//!
//! A file has to be quiet for a while before it is taken, and compiling it takes longer than that. Most files are
//! written at once, so the two can go on at the same time. What comes of it is kept until the file is quiet: if it has
//! the same content then, it serves at once, and whatever was wrong with it is said only then.

use log::debug;

use super::manager::Manager;
use super::programs::{Code, Content};
use crate::config::{self, Sha256};
use crate::plugin::LoadError;

/// A content that a plugin's file has had, compiled.
pub(super) struct Early {
    /// What it was compiled for.
    entry: config::Plugin,
    sha256: Sha256,
    pub(super) code: Result<Code, LoadError>,
    /// As in `Managed`, before it was compiled.
    pub(super) asked_back: u64,
}

impl Manager {
    /// Compiles what a plugin's file has, unless that has been done since one was last taken or refused: who writes with
    /// pauses has the rest compiled when it is complete, and not after each of them.
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
        debug!("plugin `{name}`: compiling sha256 {sha256}, which may not be all of it yet");
        let early = Early {
            code: self.programs.code(&entry, content),
            entry,
            sha256,
            asked_back: managed.asked_back,
        };
        self.early.insert(name.to_owned(), early);
    }
}

impl Early {
    /// Whether this is what is wanted now. The configuration may have changed, as the file may have.
    pub(super) fn is_of(&self, entry: &config::Plugin, sha256: Sha256) -> bool {
        self.sha256 == sha256 && self.entry == *entry
    }
}
