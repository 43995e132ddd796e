//! Compiled plugins are kept over a restart, in a directory that no other user can write to.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pace_tests::{DEADLINE, HttpBackend, Pace, Request, Setup, ask_within, edition, fixture, wait_until};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::directory;

fn config(cache: &Path, plugin: &Path, backend: &HttpBackend) -> String {
    let server = SERVER.replace("workers = 2", &format!("workers = 2\ncache_dir = {cache:?}"));
    with_plugins(&server, &[("respond", plugin)], &[backend])
}

/// A file as it was written: writing it again makes a different value.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    inode: u64,
    at: (i64, i64),
    length: u64,
}

/// The compiled plugins in the cache, without the files about their use.
fn artifacts(directory: &Path) -> BTreeMap<PathBuf, Written> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(artifacts(&path));
        } else if path.extension().is_none()
            // A file has another name while it is written.
            && let Ok(metadata) = fs::metadata(&path)
        {
            let written = Written {
                inode: metadata.ino(),
                at: (metadata.mtime(), metadata.mtime_nsec()),
                length: metadata.len(),
            };
            found.insert(path, written);
        }
    }
    found
}

/// How many times a compiled plugin was made or found, as wasmtime counts it.
fn uses(artifact: &Path) -> Option<u64> {
    let text = fs::read_to_string(artifact.with_extension("stats")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("usages = "));
    line?.parse().ok()
}

/// The plugin's code, its type, and the balancer's type, whose code is in the program.
const KEPT: usize = 3;

fn serves(pace: Pace) {
    assert_eq!(pace.get("/respond").status, 418);
    assert_eq!(pace.stop().code, Some(0));
}

#[test]
fn restart_compiles_nothing_again() {
    let files = directory();
    let cache = files.path().join("deep/cache");
    let backend = HttpBackend::named("one");
    let config = config(&cache, &fixture("respond"), &backend);

    let pace = Pace::with_config(&config);
    wait_until("compiled plugins to be kept", || artifacts(&cache).len() == KEPT);
    let mode = fs::metadata(&cache).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    wait_for_count("it to be known that each was made", || {
        artifacts(&cache).keys().all(|artifact| uses(artifact).is_some())
    });
    serves(pace);
    let kept = artifacts(&cache);
    let made: BTreeMap<_, _> = kept.keys().map(|artifact| (artifact, uses(artifact))).collect();

    let pace = Pace::with_config(&config);
    wait_for_count("each of them to be found", || {
        made.iter().all(|(artifact, &made)| uses(artifact) > made)
    });
    serves(pace);
    assert_eq!(artifacts(&cache), kept, "none was made again");
}

/// Waits for what is counted in a thread of lower priority, which runs less than other tests do.
fn wait_for_count(what: &str, mut is_counted: impl FnMut() -> bool) {
    let counted = ask_within(5 * DEADLINE, || is_counted().then_some(()));
    assert!(counted.is_some(), "waited for {what}");
}

/// Replaces the plugin that serves.
fn swap(pace: &Pace, file: &Path, plugin: &Path) {
    let generation = pace.generation("respond");
    fs::copy(plugin, file).expect("it can be copied");
    pace.wait_for_generation("respond", generation + 1);
}

#[test]
fn swap_to_a_former_plugin_compiles_nothing() {
    let files = directory();
    let (cache, file) = (files.path().join("cache"), files.path().join("plugin.wasm"));
    let backend = HttpBackend::named("one");
    fs::copy(fixture("respond"), &file).expect("it can be copied");
    let pace = Pace::with_config(&config(&cache, &file, &backend));
    // The first plugin is no longer in memory when the third serves.
    for plugin in ["response-respond", "no-op"] {
        swap(&pace, &file, &fixture(plugin));
    }
    let kept = artifacts(&cache);
    assert_eq!(kept.len(), KEPT + 4, "who compiles writes here");

    swap(&pace, &file, &fixture("respond"));
    assert_eq!(artifacts(&cache), kept, "a return to an older file");
    let rollback = Request::post("/plugins/respond/rollback", "");
    for _ in 0..2 {
        assert_eq!(pace.admin().send(&rollback).status, 200);
        assert_eq!(artifacts(&cache), kept, "a rollback");
    }
    serves(pace);
}

/// The most bytes that wasmtime keeps. When there are more, it removes files down to 70 % of this.
const MAX_KEPT: u64 = 512 << 20;

/// wasmtime cleans up at most once an hour, in the process that compiles something new.
#[test]
fn oldest_files_are_removed_when_the_cache_is_full() {
    const LARGE: u64 = 100 << 20;
    let files = directory();
    let (cache, file) = (files.path().join("cache"), files.path().join("plugin.wasm"));
    let backend = HttpBackend::named("one");
    fs::copy(fixture("respond"), &file).expect("it can be copied");
    let pace = Pace::with_config(&config(&cache, &file, &backend));
    wait_until("compiled plugins to be kept", || artifacts(&cache).len() == KEPT);
    let beside = artifacts(&cache).into_keys().next().expect("there are some");
    let old: Vec<PathBuf> = (0..6)
        .map(|number| beside.with_file_name(format!("OLD{number}")))
        .collect();
    for (age, path) in old.iter().enumerate() {
        // A sparse file takes no room on the disk.
        let large = fs::File::create(path).expect("it can be made");
        large.set_len(LARGE).expect("a file may have holes");
        let days = Duration::from_secs(24 * 3600 * (10 + age as u64));
        let modified = SystemTime::now()
            .checked_sub(days)
            .expect("it is later than 1970");
        large.set_modified(modified).expect("it is ours");
    }
    let size = || {
        artifacts(&cache)
            .values()
            .map(|written| written.length)
            .sum::<u64>()
    };
    assert!(size() > MAX_KEPT);
    // On a busy machine a process may leave some of the work to the next.
    let others = [
        "response-respond",
        "no-op",
        "header-reader",
        "counts-calls",
        "tells-failure",
    ];
    for plugin in others {
        for entry in fs::read_dir(&cache).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            // The file records a clean-up within the last hour.
            if path.file_stem().is_some_and(|stem| stem == ".cleanup") {
                fs::remove_file(path).expect("it is ours");
            }
        }
        swap(&pace, &file, &fixture(plugin));
        if size() <= MAX_KEPT {
            break;
        }
    }
    assert!(size() <= MAX_KEPT, "{} bytes are kept", size());
    assert!(old[0].exists() && !old[5].exists(), "the oldest go first");
}

#[test]
fn broken_cache_is_ignored() {
    let files = directory();
    let cache = files.path().join("cache");
    let backend = HttpBackend::named("one");
    let config = config(&cache, &fixture("respond"), &backend);
    serves(Pace::with_config(&config));
    for artifact in artifacts(&cache).into_keys() {
        fs::write(artifact, "not machine code").expect("it can be written");
    }
    serves(Pace::with_config(&config));
}

/// Files in the directory are run.
#[test]
fn directory_writable_by_others_is_refused() {
    let files = directory();
    for mode in [0o777, 0o770, 0o702] {
        let cache = files.path().join(format!("{mode:o}"));
        fs::create_dir(&cache).expect("it can be made");
        fs::set_permissions(&cache, Permissions::from_mode(mode)).expect("it is ours");
        let exit = Setup::new()
            .config(&config(&cache, &fixture("respond"), &HttpBackend::down()))
            .run();
        let message = exit.refusal();
        assert!(message.contains(&cache.display().to_string()), "{message}");
        assert!(message.contains("chmod go-w"), "{message}");
    }
    let file = files.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let exit = Setup::new()
        .config(&config(&file, &fixture("respond"), &HttpBackend::down()))
        .run();
    assert!(exit.refusal().contains("for compiled plugins"), "{exit:?}");
}

/// If the unit declares several directories, all their names are in one variable.
#[test]
fn cache_directory_of_systemd_is_used() {
    let files = directory();
    let cache = files.path().join("cache");
    let others = files.path().join("other");
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env(
            "CACHE_DIRECTORY",
            &format!("{}:{}", cache.display(), others.display()),
        )
        .config(&with_plugins(
            SERVER,
            &[("respond", &fixture("respond"))],
            &[&backend],
        ))
        .start();
    wait_until("compiled plugins to be kept", || artifacts(&cache).len() == KEPT);
    assert!(!others.exists());
    serves(pace);
}

/// The directory is relative to the configuration, which is relative to where Pace is started.
#[test]
fn relative_directory_is_beside_the_configuration() {
    let backend = HttpBackend::named("one");
    let setup = Setup::new();
    let beside = setup.directory().join("config");
    fs::create_dir(&beside).expect("it can be made");
    let text = config(Path::new("cache/compiled"), &fixture("respond"), &backend);
    fs::write(beside.join("pace.toml"), text).expect("it can be written");
    let pace = setup.args(["--config", "config/pace.toml"]).start();
    wait_until("compiled plugins to be kept", || {
        artifacts(&beside.join("cache/compiled")).len() == KEPT
    });
    serves(pace);
}

#[test]
fn plugins_get_no_files_beside_them() {
    let files = directory();
    let plugins = files.path().join("plugins");
    fs::create_dir(&plugins).expect("it can be made");
    let file = plugins.join("respond.wasm");
    fs::copy(fixture("respond"), &file).expect("it can be copied");
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&config(&files.path().join("cache"), &file, &backend));
    fs::write(&file, edition(&fixture("respond"), 2)).expect("it can be written");
    pace.wait_for_generation("respond", 2);
    serves(pace);
    let names: Vec<_> = fs::read_dir(&plugins)
        .expect("it is there")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    assert_eq!(names, ["respond.wasm"]);
}
