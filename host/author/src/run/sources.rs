//! The sources of a project: what is in it and is neither a result of building it nor a file of an editor's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pace_proxy::reload::Look;

/// What builds write, at the top of a project. `tests/` has cases, which no build reads.
const RESULTS: [&str; 4] = ["target", "node_modules", "build", "tests"];

/// What the first build writes if it is not there.
const LOCKS: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// More is no plugin's project, and not worth to be walked again and again.
const MAX_FILES: usize = 10_000;

/// How the sources look.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sources(BTreeMap<PathBuf, Look>);

impl Sources {
    /// Looks at every source of a project.
    pub(super) fn of(project: &Path) -> Sources {
        let mut sources = Sources::default();
        sources.add(project, true);
        sources
    }

    /// Directories and files that cannot be read are none: a build will say so.
    fn add(&mut self, directory: &Path, is_top: bool) {
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') || self.0.len() == MAX_FILES {
                continue;
            }
            if kind.is_dir() {
                if !(is_top && RESULTS.contains(&&*name)) && name != "__pycache__" {
                    self.add(&entry.path(), false);
                }
            } else if is_source(&name) {
                let path = entry.path();
                let look = Look::at(&path);
                self.0.insert(path, look);
            }
        }
    }

    /// Whether somebody may be in the middle of saving one.
    pub(super) fn are_being_written(&self) -> bool {
        self.0.values().any(Look::is_being_written)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

fn is_source(name: &str) -> bool {
    let is_result = name.ends_with(".wasm") || name.ends_with(".wasm.new") || LOCKS.contains(&name);
    let is_editors = name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
    !is_result && !is_editors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, which is removed when this is dropped.
    struct Project(PathBuf);

    impl Project {
        fn with(name: &str, files: &[&str]) -> Project {
            let path = std::env::temp_dir().join(format!("pace-{name}-{}", std::process::id()));
            for file in files {
                let file = path.join(file);
                fs::create_dir_all(file.parent().expect("it is in the project")).expect("it can be made");
                fs::write(file, "").expect("it can be written");
            }
            Project(path)
        }
    }

    impl Drop for Project {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_build_or_an_editor_writes_is_no_source() {
        let project = Project::with(
            "sources",
            &[
                "Cargo.toml",
                "src/lib.rs",
                "src/build/mod.rs",
                "wit/world.wit",
                "Cargo.lock",
                "plugin.wasm",
                "plugin.wasm.new",
                "target/release/a.d",
                "build/component.c",
                "tests/a.toml",
                ".git/HEAD",
                "src/.lib.rs.swp",
                "src/lib.rs~",
            ],
        );
        let sources = Sources::of(&project.0);
        let found: Vec<_> = sources
            .files()
            .map(|path| path.strip_prefix(&project.0).ok())
            .collect();
        let wanted = ["Cargo.toml", "src/build/mod.rs", "src/lib.rs", "wit/world.wit"];
        assert_eq!(found, wanted.map(|path| Some(Path::new(path))));
    }

    #[test]
    fn a_source_that_comes_changes_or_goes_is_seen() {
        let project = Project::with("changes", &["plugin.c"]);
        let first = Sources::of(&project.0);
        assert_eq!(first, Sources::of(&project.0));
        fs::write(project.0.join("plugin.c"), "int x;").expect("it can be written");
        let second = Sources::of(&project.0);
        assert_ne!(first, second);
        fs::write(project.0.join("other.c"), "").expect("it can be written");
        assert_ne!(second, Sources::of(&project.0));
    }
}
