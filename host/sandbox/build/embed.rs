//! Lists of files with their content, for programs that carry them. The build scripts of several packages include this
//! file.

use std::fs;
use std::path::{Path, PathBuf};

/// Writes a constant `FILES` with every file of this extension below a directory: its path in there, and its content. The
/// directory is relative to the package.
pub(crate) fn write(directory: &Path, extension: &str, to: &Path) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let directory = directory.canonicalize().expect("the repository has it");
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
    let list = format!("const FILES: &[(&str, &str)] = &[\n{entries}];\n");
    fs::write(to, list).expect("cargo has made the directory");
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
