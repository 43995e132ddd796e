//! Builds the plugins, from crate to component.

use crate::cargo::Profile;
use crate::toolchain;
use crate::{cargo, process};
use anyhow::{Context, Result};
use pace_toolchain::{TARGET, Toolchain};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod builtins {
    #![expect(unreachable_pub, reason = "the crate of the configuration shows them")]
    include!("../../host/config/src/builtins.rs");
}

/// The package whose examples are the plugins of the tests.
const FIXTURES: &str = "pace-fixtures";

/// The directory of the tests' plugins.
const EXAMPLES: &str = "tests/fixtures/examples";

/// The directory with a package for each plugin of the cookbook.
const COOKBOOK: &str = "plugins/cookbook";

/// The plugins to build.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// The plugins inside `pace`.
    Defaults,
    /// The plugins inside `pace`, of the cookbook and of the tests.
    All,
}

/// Compiles plugins to `target/plugins` at the root of the workspace, wherever cargo's own target
/// directory is: `pace` embeds them from there.
///
/// - `NAME.wasm`: the default plugins, as components
/// - `core/NAME.wasm`: the same as core modules, which carry the component's type in a section
/// - `cookbook/NAME.wasm`: the plugins of the cookbook, as components
/// - `fixtures/NAME.wasm`: the plugins of the tests, as components
///
/// `before` is the profile of the build that follows.
pub(crate) fn build(which: Which, before: Profile) -> Result<()> {
    let toolchain = toolchain::find()?;
    let out = cargo::root().join("target/plugins");
    let mut plugins = Vec::new();
    for package in builtins::BUILTINS {
        let module = default(&toolchain, package)?;
        install(&module, &wasm(&out.join("core"), package))?;
        plugins.push((module, wasm(&out, package)));
    }
    if which == Which::All {
        plugins.extend(others(&toolchain, &out)?);
    }
    make_components(&plugins, before)?;
    if which == Which::All {
        for directory in ["cookbook", "fixtures"] {
            remove_others(&out.join(directory), &plugins)?;
        }
    }
    Ok(())
}

/// Builds a default plugin, and returns the core module.
fn default(toolchain: &Toolchain, package: &str) -> Result<PathBuf> {
    // Without `--crate-type` cargo would make an rlib for native tests, too, and do no link-time
    // optimization.
    let mut command = toolchain.cargo(cargo::at_root, "rustc");
    command.args(["--package", package, "--lib", "--crate-type", "cdylib"]);
    run(command)?;
    Ok(wasm(&built(), &in_code(package)))
}

/// Builds the plugins of the cookbook and of the tests, and returns each core module with the path of its
/// component. One build makes all of them, so that their codegen overlaps.
fn others(toolchain: &Toolchain, out: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    // A cookbook package is called like its directory, and an example like its file.
    let recipes = names(COOKBOOK, |path| path.join("Cargo.toml").is_file())?;
    let fixtures = names(EXAMPLES, |path| path.extension().is_some_and(|of| of == "rs"))?;
    let mut command = toolchain.cargo(cargo::at_root, "build");
    command.args(["--package", FIXTURES, "--lib", "--examples"]);
    for recipe in &recipes {
        command.args(["--package", recipe]);
    }
    run(command)?;
    let of = |names: Vec<String>, modules: PathBuf, directory: PathBuf| {
        let plugin = move |name: String| (wasm(&modules, &in_code(&name)), wasm(&directory, &name));
        names.into_iter().map(plugin)
    };
    let recipes = of(recipes, built(), out.join("cookbook"));
    let fixtures = of(fixtures, built().join("examples"), out.join("fixtures"));
    Ok(recipes.chain(fixtures).collect())
}

fn run(mut command: Command) -> Result<()> {
    // The build has a target directory of its own, because a waiting build may hold the other one's lock.
    command.args(["--locked", "--profile", "plugin", "--target-dir", "target/wasm"]);
    process::run(&mut command)
}

/// The directory in which cargo puts core modules.
fn built() -> PathBuf {
    cargo::root().join("target/wasm").join(TARGET).join("plugin")
}

/// Makes a component of each core module.
fn make_components(plugins: &[(PathBuf, PathBuf)], before: Profile) -> Result<()> {
    let tool = cargo::build_component_tool(before)?;
    let components = cargo::root().join("target/wasm/components");
    let modules = plugins.iter().map(|(module, _)| module);
    process::run(Command::new(tool).arg(&components).args(modules))?;
    for (module, place) in plugins {
        let name = module.file_name().context("a module has a name")?;
        install(&components.join(name), place)?;
    }
    Ok(())
}

/// The names without extension of the files and directories that `is_one` accepts.
fn names(directory: &str, is_one: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(cargo::root().join(directory)).with_context(|| format!("cannot list {directory}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if is_one(&path) {
            let name = path.file_stem().context("what is listed has a name")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The name of a package in code.
fn in_code(name: &str) -> String {
    name.replace('-', "_")
}

fn wasm(directory: &Path, name: &str) -> PathBuf {
    directory.join(name).with_extension("wasm")
}

/// Copies a file, whole or not at all. A file that has this content already is left alone, because cargo
/// embeds it again when its time changes.
fn install(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let shown = to.strip_prefix(cargo::root()).unwrap_or(to).display();
    let write = || -> Result<()> {
        fs::create_dir_all(to.parent().context("it is in no directory")?)?;
        let beside = to.with_extension(format!("{}.new", std::process::id()));
        fs::write(&beside, &bytes)?;
        Ok(fs::rename(&beside, to)?)
    };
    write().with_context(|| format!("cannot write {shown}"))?;
    println!("{shown}: {} KiB", bytes.len().div_ceil(1024));
    Ok(())
}

/// Removes the files of plugins that no longer exist.
fn remove_others(directory: &Path, keep: &[(PathBuf, PathBuf)]) -> Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry?.path();
        if !keep.iter().any(|(_, place)| *place == path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_the_same_content_is_left_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (from, to) = (
            directory.path().join("built"),
            directory.path().join("new/plugin.wasm"),
        );
        let install = |content: &[u8]| {
            fs::write(&from, content).expect("the directory is writable");
            install(&from, &to).expect("the directory is writable");
            let modified = fs::metadata(&to).and_then(|metadata| metadata.modified());
            modified.expect("it was written")
        };
        let before = install(b"one");
        assert_eq!(install(b"one"), before);
        install(b"two");
        assert_eq!(fs::read(&to).ok().as_deref(), Some(&b"two"[..]));
        assert_eq!(
            fs::read_dir(directory.path().join("new"))
                .map(Iterator::count)
                .ok(),
            Some(1)
        );
    }

    #[test]
    fn files_of_former_plugins_are_removed() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (kept, old) = (
            directory.path().join("kept.wasm"),
            directory.path().join("old.wasm"),
        );
        for path in [&kept, &old] {
            fs::write(path, b"").expect("the directory is writable");
        }
        let plugins = [(PathBuf::new(), kept.clone())];
        remove_others(directory.path(), &plugins).expect("the directory is writable");
        assert!(kept.exists() && !old.exists());
    }

    #[test]
    fn plugins_are_found_by_their_names() {
        let recipes = names(COOKBOOK, |path| path.join("Cargo.toml").is_file()).expect("it is there");
        assert!(recipes.contains(&"api-key".to_owned()), "{recipes:?}");
        assert_eq!(
            wasm(Path::new("a"), &in_code("api-key")),
            Path::new("a/api_key.wasm")
        );
    }
}
