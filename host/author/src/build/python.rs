//! Builds plugins in Python: componentize-py puts the source into an interpreter.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tool::{Tool, Version, run};
use super::{BuildError, MADE, made};

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
    let mut command = Command::new(bin.join("componentize-py"));
    // Its own backtrace would bury the author's.
    command.current_dir(project).env("RUST_BACKTRACE", "0");
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
    made(project, "componentize-py", || {
        let path = project.join("build").join(ENTRY).with_extension("py");
        fs::write(&path, include_str!("entry.py")).map_err(|source| BuildError::File { path, source })?;
        run(&mut command).map_err(|error| match error {
            BuildError::CannotStart { command, source } => BuildError::Moved { command, source },
            other => other,
        })
    })
}
