//! Calls cargo from a program that cargo started.

use crate::process;
use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variables about one package that cargo sets for the programs that it starts. Build scripts watch some of
/// them, and would run again for each difference.
const OF_A_PACKAGE: &[&str] = &["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in a directory of the workspace")
}

/// Prepares the cargo that started this program, as if typed at the root of the workspace.
pub(crate) fn cargo() -> Command {
    at_root(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Prepares `program`, started at the root of the workspace and without the variables of this package.
pub(crate) fn at_root(program: impl Into<OsString>) -> Command {
    let mut command = program_of_another_package(program);
    command.current_dir(root());
    command
}

/// Prepares `program`, started in the current directory and without the variables of this package.
pub(crate) fn program_of_another_package(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    for (name, _) in env::vars_os() {
        let of_a_package = |name: &str| OF_A_PACKAGE.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(of_a_package) {
            command.env_remove(name);
        }
    }
    command
}

/// The profiles in which `pace` is built.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Without optimisation of our own code, with every check.
    Dev,
    /// For trying Pace: built in minutes, and not fit to measure performance.
    Quick,
    /// As users run it.
    Release,
}

/// Builds `pace` and returns the program.
pub(crate) fn build_pace(profile: Profile) -> Result<PathBuf> {
    const PACE: [&str; 4] = ["--package", "pace", "--bin", "pace"];
    let (profile, directory, features) = match profile {
        Profile::Dev => ("dev", "debug", &[][..]),
        // Compiling the default plugins' code in the build script would take a second wasmtime.
        Profile::Quick => (
            "quick",
            "quick",
            &["--no-default-features", "--features", "builtins"][..],
        ),
        Profile::Release => ("release", "release", &[][..]),
    };
    build(&[&["--profile", profile], &PACE[..], features].concat())?;
    program(directory, "pace")
}

/// Builds the program that makes components, and returns its path.
///
/// Its dependencies are also those of `pace`. They are built in the profile, and with the features, of the build that follows,
/// which then need not compile them again: with those of all packages before the tests, with those of `pace` before a trial.
pub(crate) fn build_component_tool(before: Profile) -> Result<PathBuf> {
    const TOOL: [&str; 2] = ["--bin", "pace-component"];
    let (directory, selection) = match before {
        Profile::Quick => (
            "quick",
            &[
                "--profile",
                "quick",
                "--package",
                "pace",
                "--package",
                "pace-component",
                "--no-default-features",
                "--features",
                "pace/builtins",
            ][..],
        ),
        Profile::Dev | Profile::Release => ("debug", &["--workspace"][..]),
    };
    build(&[selection, &TOOL].concat())?;
    program(directory, "pace-component")
}

/// Builds a tool that this program calls, with the features of all packages as the tests have them, and returns its path.
pub(crate) fn build_tool(name: &str) -> Result<PathBuf> {
    build(&["--workspace", "--bin", name])?;
    program("debug", name)
}

/// Runs `cargo build` with these arguments.
pub(crate) fn build(arguments: &[&str]) -> Result<()> {
    process::run(
        cargo()
            .args(["build", "--locked"])
            .args(arguments)
            .stdin(Stdio::null()),
    )
}

/// The path of a program that cargo has built, in the target directory of this one.
fn program(directory: &str, name: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("this program has no path")?;
    let target = this
        .ancestors()
        .nth(2)
        .context("this program is in no directory")?;
    let path = target.join(directory).join(name);
    ensure!(path.is_file(), "building {name} did not make {}", path.display());
    Ok(path)
}
