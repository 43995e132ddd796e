//! Finds the project of a plugin's file, and the cases with its defaults.

use std::path::{Path, PathBuf};

use super::build::PLUGIN;
use super::cases::{self, FileError};
use super::language::Language;

/// The project whose `plugin.wasm` a file is.
pub(super) fn of(file: &Path) -> Option<PathBuf> {
    let directory = match file.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        directory => directory,
    };
    // `tests/../plugin.wasm` is in the directory above `tests`.
    let directory = match directory.components().any(|part| part.as_os_str() == "..") {
        true => directory.canonicalize().ok()?,
        false => directory.to_owned(),
    };
    let is_result = file.file_name().is_some_and(|name| name == PLUGIN);
    (is_result && Language::of(&directory).is_ok()).then_some(directory)
}

/// The plugin of a project, if a name is that of a directory; otherwise the name.
pub(super) fn plugin(name: &str) -> Result<String, NotBuilt> {
    let path = Path::new(name);
    if !path.is_dir() {
        return Ok(name.to_owned());
    }
    let plugin = path.join(PLUGIN);
    let shown = match name {
        "." => Path::new(PLUGIN),
        _ => plugin.as_path(),
    };
    match (plugin.is_file(), Language::of(path)) {
        (true, _) => Ok(shown.display().to_string()),
        (false, Ok(_)) => Err(NotBuilt::Project(shown.to_owned())),
        (false, Err(_)) => Err(NotBuilt::NoProject(path.to_owned())),
    }
}

/// Error: a directory has no plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBuilt {
    /// The project has not been built.
    #[error("there is no {} yet: run `pace plugin build` first", .0.display())]
    Project(PathBuf),
    /// It is not the directory of a project.
    #[error("{} is not the directory of a plugin: name one, or a file", .0.display())]
    NoProject(PathBuf),
}

/// The cases of a project, from the first file that has a configuration in its `[defaults]`, or else from the first.
pub(super) fn cases(project: &Path) -> Result<Option<cases::Suite>, FileError> {
    let files = match cases::find(project) {
        Err(FileError::NoFiles(_)) => return Ok(None),
        files => files?,
    };
    let mut suites = files
        .iter()
        .map(|file| cases::load(file))
        .collect::<Result<Vec<_>, _>>()?;
    let configured = |suite: &cases::Suite| !suite.defaults.0.config.is_empty();
    let chosen = suites.iter().position(configured).unwrap_or_default();
    Ok(Some(suites.swap_remove(chosen)))
}
