//! Calling cargo from a program that cargo started.

use crate::process::{self, Owned};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::Value;
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variables that speak of one package and that cargo sets for what it starts. Build scripts watch
/// some of them, and would run again for each difference.
const OF_A_PACKAGE: &[&str] = &["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in a directory of the workspace")
}

/// The cargo that started this program, as if typed at the root of the workspace.
pub(crate) fn cargo() -> Command {
    at_root(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `program`, started at the root of the workspace and without the variables of this package.
pub(crate) fn at_root(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let of_a_package = |name: &str| OF_A_PACKAGE.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(of_a_package) {
            command.env_remove(name);
        }
    }
    command
}

/// How the host is built.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// Quickly, with every check.
    Dev,
    /// As users run it.
    Release,
}

/// Builds the host and returns the program `pace`.
pub(crate) fn build_pace(profile: Profile) -> Result<PathBuf> {
    build_program(profile, "--bin", "pace")
}

/// Builds an example of the host and returns it.
pub(crate) fn build_example(profile: Profile, name: &str) -> Result<PathBuf> {
    build_program(profile, "--example", name)
}

fn build_program(profile: Profile, kind: &str, name: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--locked", "--package", "pace", kind, name]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let mut artifacts = build(&mut command)?.into_iter();
    let program = artifacts.find_map(|made| made.executable.filter(|_| made.target == name));
    program.with_context(|| format!("building {name} made no program"))
}

/// Something that a build made.
#[derive(Debug, PartialEq)]
pub(crate) struct Artifact {
    /// The name of the library, program or example, as its package spells it.
    pub(crate) target: String,
    /// The program, if it is one.
    pub(crate) executable: Option<PathBuf>,
    /// All files, the program among them.
    pub(crate) files: Vec<PathBuf>,
}

/// Runs a build and says what it made, whether now or earlier.
pub(crate) fn build(command: &mut Command) -> Result<Vec<Artifact>> {
    // For the message of a failure, without what only this program needs.
    let shown = process::display(command);
    command.arg("--message-format=json-render-diagnostics");
    let mut child = Owned::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let messages = child.0.stdout.take().context("stdout was asked for")?;
    let mut artifacts = Vec::new();
    for line in BufReader::new(messages).lines() {
        artifacts.extend(artifact(&line?));
    }
    ensure!(child.0.wait()?.success(), "{shown} failed");
    Ok(artifacts)
}

/// The artifact of which one of cargo's messages speaks.
fn artifact(message: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let files = message["filenames"].as_array()?;
    Some(Artifact {
        target: message["target"]["name"].as_str()?.to_owned(),
        executable: message["executable"].as_str().map(PathBuf::from),
        files: files
            .iter()
            .filter_map(Value::as_str)
            .map(PathBuf::from)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_read() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"trap","kind":["example"]},
            "filenames":["/t/trap.wasm","/t/trap.d"],"executable":null,"fresh":true}"#;
        let expected = Artifact {
            target: "trap".to_owned(),
            executable: None,
            files: vec!["/t/trap.wasm".into(), "/t/trap.d".into()],
        };
        assert_eq!(artifact(message), Some(expected));
    }

    #[test]
    fn other_messages_and_other_output_are_passed_over() {
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("warning: something"), None);
    }
}
