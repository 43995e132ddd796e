//! Compiled plugins are kept over a restart, where nobody else can put any.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pace_tests::{Origin, Pace, Setup, edition, fixture, wait_until};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::directory;

fn config(cache: &Path, plugin: &Path, origin: &Origin) -> String {
    let server = SERVER.replace("workers = 2", &format!("workers = 2\ncache_dir = {cache:?}"));
    with_plugins(&server, &[("respond", plugin)], &[origin])
}

/// The compiled plugins in the cache, with their sizes. What is kept about their use is not among them.
fn artifacts(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(artifacts(&path));
        } else if path.extension().is_none() {
            let length = fs::metadata(&path).expect("it is there").len();
            found.insert(path, length);
        }
    }
    found
}

/// The plugin and the balancer; of each its code, and the type of it.
const KEPT: usize = 4;

fn serves(pace: Pace) {
    assert_eq!(pace.get("/respond").status, 418);
    assert_eq!(pace.stop().code, Some(0));
}

#[test]
fn a_restart_does_not_compile_again() {
    let files = directory();
    let cache = files.path().join("deep/cache");
    let origin = Origin::named("one");
    let config = config(&cache, &fixture("respond"), &origin);

    let pace = Pace::with_config(&config);
    wait_until("compiled plugins to be kept", || artifacts(&cache).len() == KEPT);
    let mode = fs::metadata(&cache).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    serves(pace);
    let kept = artifacts(&cache);

    serves(Pace::with_config(&config));
    assert_eq!(artifacts(&cache), kept);
}

#[test]
fn a_broken_cache_is_no_cache() {
    let files = directory();
    let cache = files.path().join("cache");
    let origin = Origin::named("one");
    let config = config(&cache, &fixture("respond"), &origin);
    serves(Pace::with_config(&config));
    for artifact in artifacts(&cache).into_keys() {
        fs::write(artifact, "not machine code").expect("it can be written");
    }
    serves(Pace::with_config(&config));
}

/// What lies there is run.
#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let files = directory();
    for mode in [0o777, 0o770, 0o702] {
        let cache = files.path().join(format!("{mode:o}"));
        fs::create_dir(&cache).expect("it can be made");
        fs::set_permissions(&cache, Permissions::from_mode(mode)).expect("it is ours");
        let exit = Setup::new()
            .config(&config(&cache, &fixture("respond"), &Origin::down()))
            .run();
        let message = exit.refusal();
        assert!(message.contains(&cache.display().to_string()), "{message}");
        assert!(message.contains("chmod go-w"), "{message}");
    }
    let file = files.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let exit = Setup::new()
        .config(&config(&file, &fixture("respond"), &Origin::down()))
        .run();
    assert!(exit.refusal().contains("for compiled plugins"), "{exit:?}");
}

/// If the unit wants several directories, their names are in one variable.
#[test]
fn systemd_may_say_where() {
    let files = directory();
    let cache = files.path().join("cache");
    let others = files.path().join("other");
    let origin = Origin::named("one");
    let pace = Setup::new()
        .env(
            "CACHE_DIRECTORY",
            &format!("{}:{}", cache.display(), others.display()),
        )
        .config(&with_plugins(
            SERVER,
            &[("respond", &fixture("respond"))],
            &[&origin],
        ))
        .start();
    wait_until("compiled plugins to be kept", || artifacts(&cache).len() == KEPT);
    assert!(!others.exists());
    serves(pace);
}

/// Relative to the configuration, which is relative to where Pace is started.
#[test]
fn a_relative_directory_is_beside_the_configuration() {
    let origin = Origin::named("one");
    let setup = Setup::new();
    let beside = setup.directory().join("config");
    fs::create_dir(&beside).expect("it can be made");
    let text = config(Path::new("cache/compiled"), &fixture("respond"), &origin);
    fs::write(beside.join("pace.toml"), text).expect("it can be written");
    let pace = setup.args(["--config", "config/pace.toml"]).start();
    wait_until("compiled plugins to be kept", || {
        artifacts(&beside.join("cache/compiled")).len() == KEPT
    });
    serves(pace);
}

#[test]
fn nothing_is_written_where_plugins_are() {
    let files = directory();
    let plugins = files.path().join("plugins");
    fs::create_dir(&plugins).expect("it can be made");
    let file = plugins.join("respond.wasm");
    fs::copy(fixture("respond"), &file).expect("it can be copied");
    let origin = Origin::named("one");
    let pace = Pace::with_config(&config(&files.path().join("cache"), &file, &origin));
    fs::write(&file, edition(&fixture("respond"), 2)).expect("it can be written");
    pace.wait_for_generation("respond", 2);
    serves(pace);
    let names: Vec<_> = fs::read_dir(&plugins)
        .expect("it is there")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    assert_eq!(names, ["respond.wasm"]);
}
