//! The contract in `wit/` compared with the last release, `tests/contract/`: plugins built for the one must
//! run with the other.

use std::fs;
use std::path::Path;

use pace_tests::root;
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve, SourceMap};

/// A file of the contract: its name and its text.
type File = (String, String);

/// The world with every hook, which gets each new one. No plugin that was built has to have it.
const EVERY_HOOK: &str = "plugin";
const VERSION: &str = "pace:plugin@0.1.0";
/// The package of the frozen copy under another version, because two packages of one name cannot be compared.
const FROZEN: &str = "pace:plugin@0.0.1";

#[test]
fn plugins_of_the_last_release_fit_the_contract() {
    if let Err(error) = compare(&files("tests/contract/0.1.0"), &files("wit")) {
        panic!("wit/ breaks plugins that were built for tests/contract/0.1.0: {error:#}");
    }
}

/// The check finds changes that break plugins.
#[test]
fn breaking_change_is_found() {
    for (what, from, to) in [
        (
            "another result",
            "add: func(delta: u64) -> u64;",
            "add: func(delta: u64) -> u32;",
        ),
        ("a function less", "wall: func() -> u64;", ""),
        (
            "another parameter",
            "select: func(attempt: u32)",
            "select: func(attempt: u64)",
        ),
        (
            "a field more",
            "status: u16,\n",
            "status: u16,\n        reason: string,\n",
        ),
        (
            "a case more",
            "respond(http-response),\n    }",
            "respond(http-response),\n        drop,\n    }",
        ),
        ("an interface less", "    import clock;\n", ""),
    ] {
        let (before, after) = changed(from, to);
        assert!(compare(&before, &after).is_err(), "{what}");
    }
}

/// The check accepts compatible changes.
#[test]
fn new_function_and_new_hook_are_compatible() {
    let (before, after) = changed(
        "wall: func() -> u64;",
        "wall: func() -> u64;\n    resolution: func() -> u64;",
    );
    compare(&before, &after).expect("plugins that do not know a function do not miss it");
    let (before, after) = changed(
        "world finishing {",
        "world timing {\n    export clock;\n}\n\nworld finishing {",
    );
    compare(&before, &after).expect("plugins that do not have a hook are not asked for it");
}

fn changed(from: &str, to: &str) -> (Vec<File>, Vec<File>) {
    let before = files("wit");
    let mut after = before.clone();
    let mut changes = 0;
    for (_, text) in &mut after {
        if text.contains(from) {
            *text = text.replacen(from, to, 1);
            changes += 1;
        }
    }
    assert!(changes > 0, "the contract has {from:?}");
    (before, after)
}

fn compare(released: &[File], current: &[File]) -> Result<(), Box<dyn std::error::Error>> {
    let frozen: Vec<File> = released
        .iter()
        .map(|(name, text)| (format!("released/{name}"), text.replace(VERSION, FROZEN)))
        .collect();
    let mut resolve = Resolve::default();
    let released = package(&mut resolve, &frozen)?;
    let current = package(&mut resolve, current)?;
    let worlds = resolve.packages[released].worlds.keys().cloned();
    for world in worlds.filter(|world| world != EVERY_HOOK).collect::<Vec<_>>() {
        let of = |package| resolve.select_world(&[package], Some(&world));
        semver_check(resolve.clone(), of(released)?, of(current)?)
            .map_err(|error| format!("the world {world}: {error:#}"))?;
    }
    Ok(())
}

fn package(resolve: &mut Resolve, files: &[File]) -> Result<PackageId, Box<dyn std::error::Error>> {
    let mut sources = SourceMap::default();
    for (name, text) in files {
        sources.push_str(name, text.as_str());
    }
    let group = sources.parse().map_err(|(_, error)| error.to_string())?;
    Ok(resolve.push_group(group)?)
}

fn files(directory: &str) -> Vec<File> {
    let directory = root().join(directory);
    let entries = fs::read_dir(&directory).expect("the directory is there");
    let is_wit = |path: &Path| path.extension().is_some_and(|extension| extension == "wit");
    let mut files: Vec<File> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| is_wit(path))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it is a text");
            (
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                text,
            )
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has a contract", directory.display());
    files
}
