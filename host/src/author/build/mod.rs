//! `pace plugin build`: from a project to a component that Pace can run.
//!
//! Whatever the language, the result is `plugin.wasm` in the project, checked like any plugin before it takes the
//! place of the last one.

mod c;
mod javascript;
mod python;
mod rust;
mod tool;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::language::{Language, NoProject};
use super::print;
use crate::cli::BuildArgs;
use crate::plugin::{self, Inspection, LoadError, Runtime};

/// The plugin, in its project.
pub(super) const PLUGIN: &str = "plugin.wasm";

/// Why there is no plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    NoProject(#[from] NoProject),
    /// Something that it takes is not on this machine.
    #[error("{what} is needed to build a plugin in {language}, and is not there ({why}). {remedy}")]
    Missing {
        what: &'static str,
        language: &'static str,
        why: String,
        remedy: &'static str,
    },
    /// A program has said on standard error what is wrong.
    #[error("{0} failed: what it said is above")]
    Failed(String),
    #[error("{0} made no component: it should have written {1}")]
    NothingMade(String, PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The contract in the project is not one, or no world can be made of it.
    #[error("the bindings for C cannot be made of wit/: {0}")]
    Bindings(String),
    #[error("what was built is no plugin:\n{}", listed(.0))]
    NoPlugin(Vec<LoadError>),
}

fn listed(problems: &[LoadError]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    lines.join("\n")
}

pub(super) fn run(args: &BuildArgs) -> Result<(), Box<dyn Error>> {
    let (path, size) = build(&args.path)?;
    print(&format!("{}: {} KiB\n", path.display(), size.div_ceil(1024)))?;
    Ok(())
}

/// Builds a project. Where the component is, and its size in bytes.
pub(super) fn build(project: &Path) -> Result<(PathBuf, usize), BuildError> {
    let bytes = match Language::of(project)? {
        Language::Rust => rust::build(project),
        Language::Js => javascript::build(project),
        Language::Python => python::build(project),
        Language::C => c::build(project),
    }?;
    let no_plugin = |problem| BuildError::NoPlugin(vec![problem]);
    let component = plugin::component(&bytes).map_err(|error| no_plugin(error.into()))?;
    let runtime =
        Runtime::new(None, 1).map_err(|error| no_plugin(LoadError::NoEngine(format!("{error:#}"))))?;
    let inspection = Inspection::of(&runtime, &component).map_err(no_plugin)?;
    if !inspection.problems.is_empty() {
        return Err(BuildError::NoPlugin(inspection.problems));
    }
    let path = project.join(PLUGIN);
    // Whole or not at all: a proxy may be following the file.
    let new = path.with_extension("wasm.new");
    let write = fs::write(&new, &component).and_then(|()| fs::rename(&new, &path));
    write.map_err(|source| BuildError::File {
        path: path.clone(),
        source,
    })?;
    Ok((path, component.len()))
}

/// What a program of another language has made.
fn made(by: &str, path: PathBuf) -> Result<Vec<u8>, BuildError> {
    match fs::read(&path) {
        Ok(bytes) => {
            // It is what has been made, and not yet what has been checked.
            let _ = fs::remove_file(&path);
            Ok(bytes)
        }
        Err(_) => Err(BuildError::NothingMade(by.to_owned(), path)),
    }
}
