//! The languages of projects.

use std::path::Path;

use clap::ValueEnum;

/// The language of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Compiled, with an SDK
    Rust,
    /// JavaScript, with an engine in the plugin
    Js,
    /// With an interpreter in the plugin
    Python,
    /// Compiled, with generated bindings
    C,
}

impl Language {
    /// The usual name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Js => "JavaScript",
            Language::Python => "Python",
            Language::C => "C",
        }
    }

    /// The file that identifies a project in this language.
    fn marker(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Js => "plugin.js",
            Language::Python => "plugin.py",
            Language::C => "plugin.c",
        }
    }

    /// The language of a project.
    pub(super) fn of(project: &Path) -> Result<Language, NoProject> {
        let is = |language: &Language| project.join(language.marker()).is_file();
        let found = Language::value_variants().iter().copied().find(is);
        found.ok_or_else(|| NoProject(project.display().to_string()))
    }
}

/// A directory without any of the files that identify a project.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is no plugin's project: it has neither Cargo.toml nor plugin.js, plugin.py or plugin.c; `pace plugin new NAME` \
     makes one"
)]
pub(super) struct NoProject(String);
