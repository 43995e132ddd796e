//! Python: componentize-py, which puts the source into an interpreter.

use std::path::Path;
use std::process::Command;

use super::tool::{Tool, run};
use super::{BuildError, made};

const PYTHON: Tool = Tool {
    program: "python3",
    version: "--version",
    language: "Python",
    remedy: "Install Python 3.10 or later: `apt-get install python3 python3-venv`.",
};

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    let tool = project.join(".venv/bin/componentize-py");
    if !tool.is_file() {
        eprintln!("Installing what requirements.txt names into .venv/.");
        run(PYTHON.command(project)?.args(["-m", "venv", ".venv"]))?;
        let mut pip = Command::new(".venv/bin/python");
        let pip = pip.current_dir(project);
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
    let mut command = Command::new(tool.canonicalize().unwrap_or(tool));
    // Its own backtrace would bury the author's.
    command.current_dir(project).env("RUST_BACKTRACE", "0");
    command.args([
        "--wit-path",
        "wit",
        "--world",
        "component",
        "componentize",
        "plugin",
        "--output",
        "plugin.wasm",
    ]);
    run(&mut command)?;
    made("componentize-py", project.join("plugin.wasm"))
}
