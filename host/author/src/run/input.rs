//! The plugin that the command line names, with its project and its configuration.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::build::PLUGIN;
use crate::cases::{self, FileError};
use crate::language::{Language, NoProject};
use crate::project;
use pace_config::reading::merge;
use pace_config::{BUILTINS, Source};
use pace_harness::Setup;

/// A plugin to run, with its settings.
pub(super) struct RunInput {
    /// The name in the log.
    pub(super) name: String,
    pub(super) source: Source,
    /// The project that builds it, if known.
    pub(super) project: Option<PathBuf>,
    pub(super) setup: Setup,
    /// The file of cases that `setup` comes from.
    pub(super) cases: Option<PathBuf>,
}

/// Why the command line names no plugin to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunInputError {
    #[error(transparent)]
    NoProject(#[from] NoProject),
    #[error(transparent)]
    Cases(#[from] FileError),
    #[error("{0} does not say which plugin it is for: add `wasm = \"...\"`")]
    NoPlugin(String),
    #[error("there is no plugin `{0}`; there are {builtins}", builtins = BUILTINS.map(|name| format!("`builtin:{name}`")).join(", "))]
    NoBuiltin(String),
    #[error(
        "--set {text:?} is no `KEY = VALUE` in TOML, such as 'limit = 3' or 'keys.ann = \"secret\"': {reason}"
    )]
    Set { text: String, reason: String },
}

impl RunInput {
    /// Resolves `file`, which is a project, a plugin or a file of cases.
    pub(super) fn new(file: &str, set: &[String]) -> Result<RunInput, RunInputError> {
        let path = Path::new(file);
        let is_cases = path.extension().is_some_and(|extension| extension == "toml");
        let (wasm, cases) = match (is_cases, path.is_dir()) {
            (true, _) => {
                let suite = cases::load(path)?;
                let wasm = suite.wasm.clone();
                let wasm = wasm.ok_or_else(|| RunInputError::NoPlugin(file.to_owned()))?;
                (wasm, Some(suite))
            }
            (false, true) => {
                Language::of(path)?;
                (path.join(PLUGIN).to_string_lossy().into_owned(), None)
            }
            (false, false) => (file.to_owned(), None),
        };
        let source = source(&wasm)?;
        let project = match &source {
            Source::File(file) => project::of(file),
            Source::Builtin(_) => None,
        };
        let suite = match (cases, &project) {
            (None, Some(project)) => project::cases(project)?,
            (cases, _) => cases,
        };
        let (cases, mut setup) = match suite {
            Some(suite) => (Some(suite.path), suite.defaults.0),
            None => (None, Setup::default()),
        };
        for text in set {
            merge(&mut setup.config, &key_and_value(text)?);
        }
        Ok(RunInput {
            name: name(&source, project.as_deref()),
            source,
            project,
            setup,
            cases,
        })
    }

    /// Advice on a configuration that the plugin refuses.
    pub(super) fn advice(&self) -> String {
        match &self.cases {
            Some(cases) => format!(
                "its configuration is `[defaults] config` of {}, and what --set says",
                cases.display()
            ),
            None => "its configuration is what --set says".to_owned(),
        }
    }
}

fn source(wasm: &str) -> Result<Source, RunInputError> {
    match wasm.strip_prefix("builtin:") {
        Some(name) if BUILTINS.contains(&name) => Ok(Source::Builtin(name.to_owned())),
        Some(_) => Err(RunInputError::NoBuiltin(wasm.to_owned())),
        None => Ok(Source::File(wasm.into())),
    }
}

/// Parses a `KEY = VALUE`, where the key may have dots.
fn key_and_value(text: &str) -> Result<Map<String, Value>, RunInputError> {
    let wrong = |reason: String| RunInputError::Set {
        text: text.to_owned(),
        reason,
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    match serde_json::to_value(table) {
        Ok(Value::Object(map)) if !map.is_empty() => Ok(map),
        Ok(_) => Err(wrong("it says nothing".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The name of the project or of the file, in the characters that a configuration allows.
fn name(source: &Source, project: Option<&Path>) -> String {
    let directory = project.and_then(|project| project.canonicalize().ok());
    let named = match (&directory, source) {
        (Some(directory), _) => directory.file_name(),
        (None, Source::File(file)) => file.file_stem(),
        (None, Source::Builtin(name)) => Some(name.as_ref()),
    };
    let letters = named.unwrap_or_default().to_string_lossy().to_lowercase();
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = letters.chars().map(allowed).take(48).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "plugin" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_may_have_dots_and_value_is_any_toml() {
        let map = |text| {
            key_and_value(text)
                .map(Value::Object)
                .map_err(|error| error.to_string())
        };
        assert_eq!(map("limit=3"), Ok(serde_json::json!({ "limit": 3 })));
        assert_eq!(
            map("keys.ann = 'secret'"),
            Ok(serde_json::json!({ "keys": { "ann": "secret" } }))
        );
        for wrong in ["", "limit", "limit = three"] {
            let refused = map(wrong).expect_err("it is no key with a value");
            assert!(
                refused.starts_with(&format!("--set {wrong:?} is no `KEY = VALUE`")),
                "{refused}"
            );
        }
    }

    #[test]
    fn name_has_only_characters_of_configurations() {
        let file = |path: &str| name(&Source::File(path.into()), None);
        assert_eq!(file("a/My Plugin_2.wasm"), "my-plugin-2");
        assert_eq!(file("??.wasm"), "plugin");
        assert_eq!(
            name(&Source::Builtin("round-robin".to_owned()), None),
            "round-robin"
        );
    }
}
