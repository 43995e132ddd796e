//! Finds or installs the tools of the languages beside Rust that `pace plugin new` knows.
//!
//! C's tools are Debian packages. JavaScript and Python need packages that `pace plugin build` would install
//! into each project; here they are installed once, where the tests look for them.

use crate::{cargo, prerequisites, process};
use anyhow::{Context, Error, Result, ensure};
use pace_toolchain::FINDS_C_LIBRARY;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// npm downloads some 100 MB, and pip 40. A longer installation likely means a network that drops packets.
const INSTALLATION_LIMIT: Duration = Duration::from_secs(300);

/// The variable that names the languages whose tests can run.
pub(crate) const CHOSEN: &str = "PACE_TEST_LANGUAGES";

/// A language, as `PACE_TEST_LANGUAGES` names it, and the function that makes its tools ready.
type Language = (&'static str, fn() -> Result<()>);

const LANGUAGES: [Language; 3] = [("c", c), ("js", javascript), ("python", python)];

/// Makes as many languages ready as possible. Returns them, and for each other the reason.
pub(crate) fn ready() -> (Vec<&'static str>, Vec<(&'static str, Error)>) {
    let (mut ready, mut skipped) = (Vec::new(), Vec::new());
    for (language, ensure) in LANGUAGES {
        match ensure() {
            Ok(()) => ready.push(language),
            Err(error) => skipped.push((language, error)),
        }
    }
    (ready, skipped)
}

fn c() -> Result<()> {
    let is_there = || {
        process::works(Command::new("clang").args(FINDS_C_LIBRARY))
            && process::works(Command::new("wasm-ld").arg("--version"))
    };
    if !is_there() {
        prerequisites::install(&["clang", "lld", "wasi-libc"], "build plugins in C")?;
        ensure!(
            is_there(),
            "clang, wasm-ld or the C library for WASI is still not found"
        );
    }
    Ok(())
}

fn javascript() -> Result<()> {
    let is_recent = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
    ensure!(
        process::works(Command::new("node").args(["-e", is_recent])),
        "there is no Node 20 or later"
    );
    install(
        "js",
        &template("js", "package.json"),
        &[&["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]],
    )
}

fn python() -> Result<()> {
    let is_recent = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))";
    let is_there = || process::works(Command::new("python3").args(["-c", is_recent]));
    if !is_there() {
        prerequisites::install(&["python3", "python3-venv"], "build plugins in Python")?;
        ensure!(
            is_there(),
            "Python 3.10 or later with the module venv is still not found"
        );
    }
    let pip = [
        ".venv/bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        "requirements.txt",
    ];
    let commands: [&[&str]; 2] = [&["python3", "-m", "venv", "--clear", ".venv"], &pip];
    install("python", &template("python", "requirements.txt"), &commands)?;
    // A client in Python, which tests have talk to the plugins of the cookbook.
    let client = cargo::root().join("tests/tests/all/cookbook/openai/requirements.txt");
    install("openai", &client, &commands)
}

/// A file of the project that `pace plugin new` writes.
fn template(language: &str, name: &str) -> PathBuf {
    let templates = cargo::root().join("host/author/src/new/templates");
    templates.join(language).join(name)
}

/// Installs the packages that a manifest names, unless that has been done.
fn install(name: &str, manifest: &Path, commands: &[&[&str]]) -> Result<()> {
    let wanted = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let wanted = wanted.replace("@NAME@", "tools");
    let place = place(name);
    // The file is written when all commands have succeeded.
    let done = place.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("Installing what {} names.", manifest.display());
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let copy = place.join(manifest.file_name().context("a manifest has a name")?);
    write(&copy, &wanted)?;
    for words in commands {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&place);
        process::run_within(&mut command, INSTALLATION_LIMIT).with_context(|| process::display(&command))?;
    }
    write(&done, &wanted)
}

/// The directory in which tests look for the tools of a language, or for a client.
fn place(name: &str) -> PathBuf {
    cargo::root().join("target/languages").join(name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
