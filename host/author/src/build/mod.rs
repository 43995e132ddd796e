//! `pace plugin build`: compiles a project to a component that Pace can run.
//!
//! In every language the result is `plugin.wasm` in the project, which is checked like any plugin before it
//! replaces the last one.

mod c;
mod javascript;
mod python;
mod reproducible;
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

/// The plugin's file in its project.
pub(super) const PLUGIN: &str = "plugin.wasm";

/// The file that programs of other languages write in the project. It becomes the plugin once it has been
/// checked.
const MADE: &str = "build/plugin.wasm";

/// Why a build made no plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    NoProject(#[from] NoProject),
    /// A required tool is not on this machine.
    #[error("{what} is needed to build a plugin in {language}, and is not there ({why}). {remedy}")]
    Missing {
        what: &'static str,
        language: &'static str,
        why: String,
        remedy: &'static str,
    },
    /// A required tool is too old.
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
    /// A program exists, or did, and the system does not start it.
    #[error("`{command}` cannot be started: {source}")]
    CannotStart { command: String, source: io::Error },
    /// The same for a program in an environment of Python, which names its Python by its path.
    #[error(
        "`{command}` cannot be started: {source}. If the project has been moved since .venv/ was made, delete .venv/ \
         and build again"
    )]
    Moved { command: String, source: io::Error },
    /// A program failed, and has reported why on standard error.
    #[error("{0} failed: what it said is above")]
    Failed(String),
    #[error("{0} made no component: it should have written {1}")]
    NothingMade(String, PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The contract in the project is invalid, or no world can be made of it.
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

/// Builds a project. Returns the path of the component and its size in bytes.
pub(super) fn build(project: &Path) -> Result<(PathBuf, usize), BuildError> {
    let language = Language::of(project)?;
    let _lock = lock(project);
    let bytes = match language {
        Language::Rust => rust::build(project),
        Language::Js => javascript::build(project),
        Language::Python => python::build(project),
        Language::C => c::build(project),
    }?;
    let no_plugin = |problem| BuildError::NoPlugin(vec![problem]);
    let component = pace_sandbox::component(&bytes).map_err(|error| no_plugin(error.into()))?;
    let runtime =
        Runtime::for_author().map_err(|error| no_plugin(LoadError::NoEngine(format!("{error:#}"))))?;
    let inspection = Inspection::of(&runtime, &component).map_err(no_plugin)?;
    if !inspection.problems.is_empty() {
        return Err(BuildError::NoPlugin(inspection.problems));
    }
    let path = project.join(PLUGIN);
    // The rename replaces the file at once: a proxy may be following it.
    let new = path.with_extension("wasm.new");
    let write = fs::write(&new, &component).and_then(|()| fs::rename(&new, &path));
    write.map_err(|source| BuildError::File {
        path: path.clone(),
        source,
    })?;
    Ok((path, component.len()))
}

/// Waits for other builds of the project, which write the same files. The lock ends when the file is closed.
fn lock(project: &Path) -> Option<File> {
    // Without file locks, builds are not kept apart.
    let directory = File::open(project).ok()?;
    if let Err(TryLockError::WouldBlock) = directory.try_lock() {
        eprintln!("Another build of this project is going on: waiting for its end.");
        directory.lock().ok()?;
    }
    Some(directory)
}

/// Runs a program of another language that makes a component, and reads that.
fn made(
    project: &Path,
    by: &str,
    run: impl FnOnce() -> Result<(), BuildError>,
) -> Result<Vec<u8>, BuildError> {
    let path = project.join(MADE);
    let prepare = fs::create_dir_all(project.join("build")).and_then(|()| match fs::remove_file(&path) {
        // The file of the last build would be taken for that of this build.
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
