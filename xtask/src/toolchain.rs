//! Finds or installs a Rust that compiles to `wasm32-unknown-unknown`.
//!
//! The target's standard library comes from rustup in seconds, where there is a rustup that may download.
//! Elsewhere Debian has a second, newer Rust with the library's source.

use crate::{prerequisites, process};
use anyhow::{Context, Result, bail, ensure};
use pace_toolchain::{DEBIAN_LINKER, DEBIAN_PACKAGES, TARGET, Toolchain};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// `rustup target add` downloads some 20 MB. A longer time likely means a network that drops packets.
const RUSTUP_LIMIT: Duration = Duration::from_secs(90);

/// A name, and the function that finds or makes a toolchain.
type Way = (&'static str, fn() -> Result<Toolchain>);

/// Finds a toolchain; if there is none, installs one.
pub(crate) fn find() -> Result<Toolchain> {
    // Installed toolchains come before those that would have to be downloaded.
    let ways: [Way; 4] = [
        ("the Rust in use", || Ok(pace_toolchain::current()?)),
        ("Debian's Rust for browsers", || Ok(pace_toolchain::debian()?)),
        ("rustup target add", add_with_rustup),
        ("apt-get install", install_debian),
    ];
    let mut failures = String::new();
    for (name, way) in ways {
        match way() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => failures += &format!("\n  {name}: {error:#}"),
        }
    }
    bail!(
        "found no way to compile plugins to {TARGET}. Where rustup can download, \
         `rustup target add {TARGET}` is all it takes. What was tried:{failures}"
    )
}

fn add_with_rustup() -> Result<Toolchain> {
    ensure!(
        process::works(Command::new("rustup").arg("--version")),
        "rustup is not there"
    );
    println!("Adding {TARGET} with rustup: plugins are compiled to it.");
    process::run_within(
        Command::new("rustup").args(["target", "add", TARGET]),
        RUSTUP_LIMIT,
    )?;
    Ok(pace_toolchain::current()?)
}

fn install_debian() -> Result<Toolchain> {
    let why = "a Rust that compiles plugins to WebAssembly";
    prerequisites::install(DEBIAN_PACKAGES, why)?;
    if pace_toolchain::linker().is_err() {
        // The link leads to a path with the name of the package: `lld-22`.
        let package = fs::read_link(DEBIAN_LINKER).context(DEBIAN_LINKER)?;
        prerequisites::install(&[&package.to_string_lossy()], "the linker for plugins")?;
    }
    Ok(pace_toolchain::debian()?)
}
