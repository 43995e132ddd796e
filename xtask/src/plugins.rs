//! The plugins, from crate to component.

use crate::cargo::{self, Artifact};
use crate::toolchain;
use anyhow::{Context, Result};
use pace_toolchain::Toolchain;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wit_component::ComponentEncoder;

/// The plugins inside `pace`, by package.
const DEFAULTS: &[&str] = &["header-injection", "rate-limiter", "round-robin"];

/// The package whose examples are the plugins of the tests.
const FIXTURES: &str = "pace-fixtures";

/// The directory with a package for each plugin of the cookbook.
const COOKBOOK: &str = "plugins/cookbook";

/// Which plugins to build.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// Those inside `pace`.
    Defaults,
    /// Those of the cookbook and of the tests too.
    All,
}

/// Compiles plugins to `target/plugins` at the root of the workspace, wherever cargo's own target
/// directory is: `pace` embeds them from there.
///
/// - `NAME.wasm`: the default plugins, as components
/// - `core/NAME.wasm`: the same as core modules, which carry the component's type in a section
/// - `cookbook/NAME.wasm`: the plugins of the cookbook, as components
/// - `fixtures/NAME.wasm`: the plugins of the tests, as components
pub(crate) fn build(which: Which) -> Result<()> {
    let toolchain = toolchain::find()?;
    let out = cargo::root().join("target/plugins");
    for package in DEFAULTS {
        let module = default(&toolchain, package)?;
        write(&out.join("core").join(package).with_extension("wasm"), &module)?;
        write_component(&out, package, &module)?;
    }
    if which == Which::All {
        let recipes = recipes()?;
        let mut names = (Vec::new(), Vec::new());
        let directories = (out.join("cookbook"), out.join("fixtures"));
        for (name, module) in others(&toolchain, &recipes)? {
            let (directory, names) = match recipes.contains(&name) {
                true => (&directories.0, &mut names.0),
                false => (&directories.1, &mut names.1),
            };
            names.push(write_component(directory, &name, &module)?);
        }
        remove_others(&directories.0, &names.0)?;
        remove_others(&directories.1, &names.1)?;
    }
    Ok(())
}

/// The packages of the cookbook: each is called like its directory.
fn recipes() -> Result<Vec<String>> {
    let directory = cargo::root().join(COOKBOOK);
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {COOKBOOK}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// One default plugin as a core module.
fn default(toolchain: &Toolchain, package: &str) -> Result<Vec<u8>> {
    // Without `--crate-type` there would be an rlib too, for native tests, and no link-time
    // optimization.
    let mut command = toolchain.cargo(cargo::at_root, "rustc");
    command.args(["--package", package, "--lib", "--crate-type", "cdylib"]);
    let module = modules(command)?.into_iter().find(|(name, _)| name == package);
    Ok(module
        .with_context(|| format!("the package {package} made no .wasm"))?
        .1)
}

/// The plugins of the cookbook and of the tests as core modules, by name. One build makes them all, so that
/// their codegen overlaps.
fn others(toolchain: &Toolchain, recipes: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut command = toolchain.cargo(cargo::at_root, "build");
    command.args(["--package", FIXTURES, "--lib", "--examples"]);
    for recipe in recipes {
        command.args(["--package", recipe]);
    }
    modules(command)
}

/// Runs a build, and reads the core modules that it made.
fn modules(mut command: std::process::Command) -> Result<Vec<(String, Vec<u8>)>> {
    // A directory of its own, because the lock of the other one may be held by a waiting build.
    command.args(["--locked", "--profile", "plugin", "--target-dir", "target/wasm"]);
    let artifacts = cargo::build(&mut command)?;
    let modules = artifacts
        .into_iter()
        .filter_map(|Artifact { target, files, .. }| {
            let file = files
                .into_iter()
                .find(|file| file.extension() == Some(OsStr::new("wasm")))?;
            // Cargo calls a library by the name that it has in code.
            Some(read(&file).map(|module| (target.replace('_', "-"), module)))
        });
    modules.collect()
}

/// Makes a component of a core module.
fn write_component(out: &Path, name: &str, module: &[u8]) -> Result<PathBuf> {
    let component = ComponentEncoder::default()
        .module(module)
        .and_then(|e| e.validate(true).encode());
    let path = out.join(name).with_extension("wasm");
    write(
        &path,
        &component.with_context(|| format!("cannot make a component of plugin {name}"))?,
    )?;
    Ok(path)
}

/// Writes a file, whole or not at all, unless it already has this content: cargo embeds it again when
/// its time changes.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let shown = path.strip_prefix(cargo::root()).unwrap_or(path).display();
    let write = || -> Result<()> {
        let directory = path.parent().context("it is in no directory")?;
        fs::create_dir_all(directory)?;
        // As any file would be created: what the umask allows.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {shown}"))?;
    println!("{shown}: {} KiB", bytes.len().div_ceil(1024));
    Ok(())
}

/// Removes what plugins that no longer exist have left.
fn remove_others(directory: &Path, keep: &[PathBuf]) -> Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry?.path();
        if !keep.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_same_content_is_left_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("new/plugin.wasm");
        write(&path, b"one").expect("the directory is writable");
        let before = fs::metadata(&path)
            .and_then(|m| m.modified())
            .expect("it was written");
        write(&path, b"one").expect("the directory is writable");
        assert_eq!(fs::metadata(&path).and_then(|m| m.modified()).ok(), Some(before));
        write(&path, b"two").expect("the directory is writable");
        assert_eq!(fs::read(&path).ok().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn leftovers_are_removed() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (kept, old) = (
            directory.path().join("kept.wasm"),
            directory.path().join("old.wasm"),
        );
        for path in [&kept, &old] {
            write(path, b"").expect("the directory is writable");
        }
        remove_others(directory.path(), std::slice::from_ref(&kept)).expect("the directory is writable");
        assert!(kept.exists() && !old.exists());
    }
}
