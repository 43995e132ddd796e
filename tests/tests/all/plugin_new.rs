//! `pace plugin new` and `pace plugin build`.

mod build;
mod languages;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod reproducible;
mod tools;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pace_tests::{Exit, Setup, root};
use tempfile::TempDir;

pub(crate) use languages::asked_for;

/// An empty directory whose path is always the same, for cargo's builds. A project that is built has a name
/// that no other test uses: they share one target directory, where cargo tells projects apart by their names
/// alone, and takes one of the same name for built if its files are older than the other's build.
fn lasting(test: &str) -> PathBuf {
    let directory = root().join("target/projects").join(test);
    // The directory does not exist the first time.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is ours");
    directory
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// Runs `pace plugin ...` in a directory.
fn plugin(directory: &Path, args: &[&str]) -> Exit {
    command(directory, args).run_long()
}

fn command(directory: &Path, args: &[&str]) -> Setup {
    Setup::new()
        .within(directory)
        .args(["plugin"])
        .args(args)
        // The crates that the other plugins use are compiled there already.
        .env("CARGO_TARGET_DIR", &root().join("target/wasm").to_string_lossy())
        .env("CARGO_NET_OFFLINE", "true")
}

fn succeeds(directory: &Path, args: &[&str]) -> Exit {
    let exit = plugin(directory, args);
    assert_eq!(exit.code, Some(0), "{args:?}: {exit:#?}");
    exit
}

/// Writes a program that a shell runs. Another process writes it: a test that starts a program at the same
/// time inherits the files that this process writes, and a file open for writing cannot be started.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the place is ours");
    let written = Command::new("sh")
        .args([
            "-c",
            "printf '%s\n' '#!/bin/sh' \"$1\" > \"$0\" && chmod +x \"$0\"",
        ])
        .arg(path)
        .arg(text)
        .status();
    assert!(written.is_ok_and(|status| status.success()), "{}", path.display());
}

#[test]
fn existing_files_are_left_alone() {
    let place = directory();
    succeeds(place.path(), &["new", "mine"]);
    fs::write(place.path().join("mine/src/lib.rs"), "// work").expect("it can be written");
    assert_eq!(
        plugin(place.path(), &["new", "mine"]).refusal(),
        "mine is there already"
    );
    assert_eq!(
        fs::read_to_string(place.path().join("mine/src/lib.rs"))
            .ok()
            .as_deref(),
        Some("// work")
    );
}

#[test]
fn invalid_name_is_refused() {
    let place = directory();
    let refused = plugin(place.path(), &["new", "../elsewhere"]);
    assert!(
        refused
            .refusal()
            .starts_with("`../elsewhere` is no name for a plugin"),
        "{refused:#?}"
    );
}
