//! Finds the sources of a project: all files but results of builds and files of editors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pace_follow::{Follower, Found};

/// The results of builds, at the top of a project. `tests/` has cases, which no build reads.
const RESULTS: [&str; 4] = ["target", "node_modules", "build", "tests"];

/// The files that the first build writes if they are missing.
const LOCKS: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// A directory with more files is no plugin's project, and too large to walk again and again.
const MAX_FILES: usize = 10_000;

/// The sources of a project, and whether they have changed since the last build.
#[derive(Debug)]
pub(super) struct Sources {
    project: PathBuf,
    files: BTreeSet<PathBuf>,
    have_changed: bool,
}

impl Sources {
    /// The sources of a project that is built next. Changes from now on are reported.
    pub(super) fn of(project: PathBuf, follower: &mut Follower) -> Sources {
        let files = walk(&project);
        files.iter().for_each(|file| follower.take(file));
        Sources {
            project,
            files,
            have_changed: false,
        }
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// The files to follow.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter()
    }

    /// Lists the files anew. Removed files count as a change; the follower reports new ones.
    pub(super) fn list_again(&mut self) {
        let files = walk(&self.project);
        self.have_changed |= !self.files.is_subset(&files);
        self.files = files;
    }

    /// Takes note of changed files, during a build or not.
    pub(super) fn note(&mut self, found: &Found, is_building: bool) {
        let is_source = |path: &PathBuf| self.files.contains(path);
        // The build may have read other content before the file was restored.
        let is_touched = is_building && found.touched.iter().any(is_source);
        self.have_changed |= is_touched || found.changed.iter().any(is_source);
    }

    /// Whether to build now: a source has changed, and none is being written. Each change is reported once.
    pub(super) fn take(&mut self, follower: &Follower) -> bool {
        let is_settled = |file: &PathBuf| follower.is_settled(file);
        let is_due = self.have_changed && self.files.iter().all(is_settled);
        self.have_changed &= !is_due;
        is_due
    }
}

/// Every source of a project.
fn walk(project: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    add(&mut found, project, true);
    found
}

/// Unreadable directories and files are left out: a build will report them.
fn add(found: &mut BTreeSet<PathBuf>, directory: &Path, is_top: bool) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        if name.starts_with('.') || found.len() == MAX_FILES {
            continue;
        }
        if kind.is_dir() {
            if !(is_top && RESULTS.contains(&&*name)) && name != "__pycache__" {
                add(found, &entry.path(), false);
            }
        } else if is_source(&name) {
            found.insert(entry.path());
        }
    }
}

fn is_source(name: &str) -> bool {
    let is_result = name.ends_with(".wasm") || name.ends_with(".wasm.new") || LOCKS.contains(&name);
    let is_editors = name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
    !is_result && !is_editors
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;

    /// A directory with these files, which is removed on drop.
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
    fn walk_leaves_out_files_of_builds_and_editors() {
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
        let found = walk(&project.0);
        let found: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(&project.0).ok())
            .collect();
        let wanted = ["Cargo.toml", "src/build/mod.rs", "src/lib.rs", "wit/world.wit"];
        assert_eq!(found, wanted.map(|path| Some(Path::new(path))));
    }

    /// Looks at sources until none is being written. Returns whether they are to be built then.
    fn are_built(
        sources: &mut Sources,
        follower: &mut Follower,
        now: &mut Instant,
        is_building: bool,
    ) -> bool {
        loop {
            sources.list_again();
            follower.follow(sources.files().cloned());
            let found = follower.look(*now);
            sources.note(&found, is_building);
            if follower.are_settled() {
                return sources.take(follower);
            }
            assert!(!sources.take(follower), "somebody is saving");
            *now = follower.due();
        }
    }

    #[test]
    fn added_changed_or_removed_source_is_built() {
        let project = Project::with("changes", &["plugin.c"]);
        let save = |name, text| fs::write(project.0.join(name), text).expect("it can be written");
        let mut follower = Follower::new(Duration::from_secs(1), || {});
        let mut sources = Sources::of(project.0.clone(), &mut follower);
        let mut now = Instant::now();
        let mut are_built = |is_building| {
            // Long enough for the files read last to be certain.
            now += Duration::from_secs(60);
            are_built(&mut sources, &mut follower, &mut now, is_building)
        };
        assert!(!are_built(false));
        save("plugin.c", "int x;");
        assert!(are_built(false));
        assert!(!are_built(false));
        save("other.c", "");
        assert!(are_built(false));
        assert!(!are_built(false));
        fs::remove_file(project.0.join("other.c")).expect("it is there");
        assert!(are_built(false));
        assert!(!are_built(false));
        save("plugin.wasm", "");
        assert!(!are_built(false), "a build made it");
    }

    #[test]
    fn source_restored_is_built_only_if_a_build_may_have_read_another() {
        let project = Project::with("same", &["plugin.c"]);
        let save = |time| {
            let file = fs::File::create(project.0.join("plugin.c")).expect("it can be written");
            file.set_modified(SystemTime::UNIX_EPOCH + time)
                .expect("it is ours");
        };
        let mut follower = Follower::new(Duration::from_secs(1), || {});
        let mut sources = Sources::of(project.0.clone(), &mut follower);
        let mut now = Instant::now();
        for (is_building, time) in [(false, 1), (true, 2)] {
            now += Duration::from_secs(60);
            assert!(!are_built(&mut sources, &mut follower, &mut now, is_building));
            save(Duration::from_secs(time));
            assert_eq!(
                are_built(&mut sources, &mut follower, &mut now, is_building),
                is_building
            );
        }
    }
}
