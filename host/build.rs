//! Finds what is compiled into the binary: the components of the default plugins, and the contract and the SDK for
//! projects of plugins.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    // Who uses the library to test a plugin of their own has no use for those of the binary, and has not built them.
    if env::var_os("CARGO_FEATURE_BUILTINS").is_some() {
        find_builtins();
    }
    embed();
}

fn find_builtins() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    for name in ["rate-limiter", "round-robin", "header-injection"] {
        let file = directory.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", file.display());
        if !file.is_file() {
            println!(
                "cargo::error=the default plugin {name} has not been built: run `cargo xtask plugins` (looked \
                 for {})",
                file.display()
            );
        }
    }
    println!("cargo::rustc-env=PACE_BUILTINS={}", directory.display());
}

/// Writes lists of the contract's files and of the SDK's, with their content.
fn embed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = |name: &str, directory: PathBuf, extension: &str| {
        println!("cargo::rerun-if-changed={}", directory.display());
        let mut paths = Vec::new();
        files(&directory, extension, &mut paths);
        paths.sort();
        let entries: String = paths
            .iter()
            .map(|path| {
                let relative = path.strip_prefix(&directory).expect("it was found in there");
                format!("    ({relative:?}, include_str!({path:?})),\n")
            })
            .collect();
        assert!(!entries.is_empty(), "{} has no files", directory.display());
        format!("pub(crate) const {name}: Files = &[\n{entries}];\n")
    };
    let lists = [
        list("CONTRACT_FILES", root.join("wit"), "wit"),
        list("SDK_FILES", root.join("plugins/sdk/src"), "rs"),
    ];
    let out = env::var_os("OUT_DIR").expect("cargo sets it for build scripts");
    fs::write(Path::new(&out).join("embedded.rs"), lists.concat()).expect("cargo has made the directory");
}

fn files(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the repository has it") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|of_file| of_file == extension) {
            found.push(path);
        }
    }
}
