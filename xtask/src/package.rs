//! The package for Debian: the program as users run it, with unit, user, configuration, manual pages and completions.

use crate::cargo::{self, Profile};
use crate::plugins::{self, Which};
use crate::{prerequisites, process};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The files of completions, as the manifest of `pace` names them.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "pace.bash"), ("zsh", "_pace"), ("fish", "pace.fish")];

/// Builds the program and makes a package of it.
pub(crate) fn make() -> Result<()> {
    ensure!(
        process::works(cargo::cargo().args(["deb", "--version"])),
        "cargo-deb is needed: cargo install cargo-deb"
    );
    prerequisites::ensure()?;
    plugins::build(Which::All, Profile::Release)?;
    let pace = cargo::build_pace(Profile::Release)?;
    write_made(&pace, &cargo::root().join("target/package"))?;
    process::run(cargo::cargo().args(["deb", "--package", "pace", "--no-build", "--locked"]))
}

/// Writes the files that the program makes of itself.
fn write_made(pace: &Path, directory: &Path) -> Result<()> {
    let pages = directory.join("man");
    fs::create_dir_all(&pages).with_context(|| format!("cannot make {}", pages.display()))?;
    process::run(Command::new(pace).arg("man").arg(&pages))?;
    for (shell, file) in COMPLETIONS {
        let script = process::output(Command::new(pace).args(["completions", shell]))?;
        let path = directory.join(file);
        fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
