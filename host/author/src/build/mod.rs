//! `pace plugin build`: from a project to a component that Pace can run.
//!
//! Whatever the language, the result is `plugin.wasm` in the project, checked like any plugin before it takes the
//! place of the last one.

mod c;
mod javascript;
mod python;
mod rust;
mod tool;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::language::{Language, NoProject};
use super::print;
use crate::cli::{BuildArgs, CommandError};
use pace_sandbox::{Inspection, LoadError, Runtime};
use tool::Version;

/// The plugin, in its project.
pub(super) const PLUGIN: &str = "plugin.wasm";

/// Where programs of other languages write what they make, in the project: it becomes the plugin when it has been
/// checked.
const MADE: &str = "build/plugin.wasm";

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
    /// It is, and cannot do what is asked of it.
    #[error(
        "{what} {at_least} or later is needed to build a plugin in {language}, and this is {found}. {remedy}"
    )]
    TooOld {
        what: &'static str,
        language: &'static str,
        at_least: Version,
        found: String,
        remedy: &'static str,
    },
    /// A program is there, or was, and the system does not run it.
    #[error("`{command}` cannot be started: {source}")]
    CannotStart { command: String, source: io::Error },
    /// The same of one in an environment of Python, which names its Python by its path.
    #[error(
        "`{command}` cannot be started: {source}. If the project has been moved since .venv/ was made, delete .venv/ \
         and build again"
    )]
    Moved { command: String, source: io::Error },
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

pub(super) fn run(args: &BuildArgs) -> Result<(), CommandError> {
    let (path, size) = build(&args.path)?;
    print(&format!("{}: {} KiB\n", path.display(), size.div_ceil(1024)))?;
    Ok(())
}

/// Builds a project. Where the component is, and its size in bytes.
pub(super) fn build(project: &Path) -> Result<(PathBuf, usize), BuildError> {
    let language = Language::of(project)?;
    let _turn = turn(project);
    let bytes = match language {
        Language::Rust => rust::build(project),
        Language::Js => javascript::build(project),
        Language::Python => python::build(project),
        Language::C => c::build(project),
    }?;
    let no_plugin = |problem| BuildError::NoPlugin(vec![problem]);
    let component = pace_sandbox::component(&bytes).map_err(|error| no_plugin(error.into()))?;
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

/// Waits for other builds of the project: they write the same files. The turn ends when the file is closed.
fn turn(project: &Path) -> Option<File> {
    // Where a file system has no locks, builds are not kept apart.
    let directory = File::open(project).ok()?;
    if let Err(TryLockError::WouldBlock) = directory.try_lock() {
        eprintln!("Another build of this project is going on: waiting for its end.");
        directory.lock().ok()?;
    }
    Some(directory)
}

/// Has a program of another language make a component, and reads it.
fn made(
    project: &Path,
    by: &str,
    run: impl FnOnce() -> Result<(), BuildError>,
) -> Result<Vec<u8>, BuildError> {
    let path = project.join(MADE);
    let prepare = fs::create_dir_all(project.join("build")).and_then(|()| match fs::remove_file(&path) {
        // That of the last build would be taken for one of this build.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    });
    prepare.map_err(|source| BuildError::File {
        path: path.clone(),
        source,
    })?;
    run()?;
    fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BuildError::NothingMade(by.to_owned(), path),
        _ => BuildError::File { path, source },
    })
}
