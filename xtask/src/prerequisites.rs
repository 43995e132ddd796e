//! The tools that must be on the machine before anything is built.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

struct Tool {
    program: &'static str,
    /// An argument with which it does nothing, and succeeds.
    idle: &'static str,
    /// Debian's packages of the tool.
    packages: &'static [&'static str],
    why: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        idle: "--version",
        packages: &["gcc", "libc6-dev"],
        why: "links programs and compiles mimalloc",
    },
    Tool {
        program: "cmake",
        idle: "--version",
        packages: &["cmake"],
        why: "configures zlib-ng, which Pingora needs",
    },
    Tool {
        program: "make",
        idle: "--version",
        packages: &["make"],
        why: "builds zlib-ng, which Pingora needs",
    },
    Tool {
        program: "curl",
        idle: "--version",
        packages: &["curl"],
        why: "tries what the README says",
    },
];

const VALGRIND: Tool = Tool {
    program: "valgrind",
    idle: "--version",
    packages: &["valgrind", "libc6-dbg"],
    why: "counts instructions",
};

const OPENSSL: Tool = Tool {
    program: "openssl",
    idle: "version",
    packages: &["openssl"],
    why: "makes the keys and certificates of tests that nothing else makes",
};

const PEBBLE: Tool = Tool {
    program: "pebble",
    idle: "-h",
    packages: &["pebble"],
    why: "is the authority of the tests of ACME",
};

/// Installs the missing ones of the tools that compiling the host takes.
pub(crate) fn ensure() -> Result<()> {
    ensure_all(TOOLS)
}

/// Installs the tool that the tests need in addition.
pub(crate) fn openssl() -> Result<()> {
    ensure_all(&[OPENSSL])
}

/// Installs the tool without which the tests of ACME try nothing.
pub(crate) fn pebble() -> Result<()> {
    ensure_all(&[PEBBLE])
}

/// Installs the tool that `cargo xtask instructions` needs in addition.
pub(crate) fn valgrind() -> Result<()> {
    ensure_all(&[VALGRIND])
}

fn ensure_all(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools
        .iter()
        .filter(|tool| !process::works(Command::new(tool.program).arg(tool.idle)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    let why: Vec<String> = missing
        .iter()
        .map(|tool| format!("{} {}", tool.program, tool.why))
        .collect();
    install(&packages, &why.join("; "))
}

/// Installs Debian packages if that needs no question; otherwise the error has the command to run.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    let packages = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("missing: {packages} ({why}). Install what your system has under these Debian package names");
    }
    let install = format!("apt-get install -y --no-install-recommends {packages}");
    if !rustix::process::geteuid().is_root() {
        bail!(
            "missing: {packages} ({why}). Run this, then try again:\n\n    sudo sh -c 'apt-get update && {install}'\n"
        );
    }
    println!("Installing {packages} through apt: {why}.");
    // A list that cannot be refreshed may still be good enough; the installation decides.
    if let Err(error) = apt(&["update"]) {
        eprintln!("warning: {error:#}");
    }
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages.split(' '));
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    // Another apt may be at work: a freshly started machine updates itself.
    command
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    // `process::run` is not used: an installation that is killed midway is broken.
    let status = command.status().context("cannot start apt-get")?;
    process::succeeded(&command, status)
}
