//! Builds plugins in Python: componentize-py puts the source into an interpreter.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::reproducible::Settings;
use super::tool::{Tool, Version, run, run_reproducibly};
use super::{BuildError, MADE, PLUGIN, made};

const PYTHON: Tool = Tool {
    name: "python3",
    program: "python3",
    probe: &["--version"],
    at_least: Some(Version(3, 10)),
    language: "Python",
    remedy: "Install Python 3.10 or later; on Debian: `apt-get install python3 python3-venv`.",
};

/// Debian packages it apart from Python, and `venv` itself fails only after it has made half of an
/// environment.
const VENV: Tool = Tool {
    name: "Python's module venv",
    program: "python3",
    probe: &["-c", "import ensurepip, venv"],
    at_least: None,
    language: "Python",
    remedy: "On Debian: `apt-get install python3-venv`.",
};

/// The module that the component begins with. It takes all of `plugin`, and says of modules that are imported too late what
/// to do.
const ENTRY: &str = "pace_entry";

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    // Some systems look for a relative program path elsewhere.
    let environment = project.canonicalize().map_err(|source| BuildError::File {
        path: project.to_owned(),
        source,
    })?;
    let bin = environment.join(".venv/bin");
    if !bin.join("componentize-py").is_file() {
        let mut python = PYTHON.command(project)?;
        VENV.check()?;
        eprintln!("Installing what requirements.txt names into .venv/.");
        run(python.args(["-m", "venv", ".venv"]))?;
        let mut pip = Command::new(bin.join("python"));
        pip.current_dir(project);
        run(pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            "requirements.txt",
        ]))?;
    }
    let build = environment.join("build");
    // Of what the tool puts there, nothing is left in the way of the next build if this one is interrupted.
    let temporary = build.join("tmp");
    let componentize = || {
        let mut command = Command::new(bin.join("componentize-py"));
        command.current_dir(project);
        // Where it looks for what requirements.txt names, instead of in the Python of the machine.
        command.env("VIRTUAL_ENV", environment.join(".venv"));
        command.env("TMPDIR", &temporary);
        for (name, _) in env::vars_os() {
            if name.as_bytes().starts_with(b"PYTHON") {
                command.env_remove(name);
            }
        }
        // Its own backtrace would bury the author's.
        command.env("RUST_BACKTRACE", "0");
        command.args([
            "--wit-path",
            "wit",
            "--world",
            "component",
            "componentize",
            ENTRY,
            "--python-path",
            "build",
            "--python-path",
            ".",
            "--output",
            MADE,
        ]);
        command
    };
    made(project, "componentize-py", || {
        // Python compiles the entry before that can tell it not to keep what it compiles.
        remove(&build.join("__pycache__"))?;
        remove(&temporary)?;
        let at = |path: &Path| {
            let path = path.to_owned();
            |source| BuildError::File { path, source }
        };
        fs::create_dir(&temporary).map_err(at(&temporary))?;
        let entry = build.join(ENTRY).with_extension("py");
        fs::write(&entry, include_str!("entry.py")).map_err(at(&entry))?;
        let run = run_reproducibly(componentize, world(&environment)?);
        remove(&temporary)?;
        run.map_err(|error| match error {
            BuildError::CannotStart { command, source } => BuildError::Moved { command, source },
            other => other,
        })
    })
}

/// Removes a directory, if it is there.
fn remove(directory: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BuildError::File {
            path: directory.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// The world of a build: it depends on the author's files, and not on the machine or an earlier build.
fn world(project: &Path) -> Result<Settings, BuildError> {
    let path = project.join("plugin.py");
    // The component has the seed of its hashes in it, so it is no public number: nobody can tell it without the source.
    let source = fs::read(&path).map_err(|source| BuildError::File { path, source })?;
    let project = project.to_owned();
    // It may be a link.
    let packages = project.join(".venv").canonicalize();
    let hidden = move |directory: &Path, name: &OsStr| {
        let name = name.as_bytes();
        let made = name.starts_with(b".") || name == b"build" || name.starts_with(PLUGIN.as_bytes());
        let has_packages = packages
            .as_ref()
            .is_ok_and(|packages| directory.starts_with(packages));
        let is_of_project = directory.starts_with(&project) && !directory.starts_with(project.join("build"));
        (directory == project && made) || ((is_of_project || has_packages) && name == b"__pycache__")
    };
    Ok(Settings {
        seed: Sha256::digest(source).into(),
        hidden: Box::new(hidden),
    })
}
