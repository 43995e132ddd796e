//! Walls between the parts of the host, and fixtures that must have a test.

use std::fs;
use std::path::{Path, PathBuf};

use pace_tests::root;

/// The compiler holds the walls between the crates of the host, as their manifests say. This holds the manifests.
#[test]
fn host_crates_depend_on_nothing_beyond_their_walls() {
    let allowed = |name: &str| match name {
        "wasmtime" => vec!["sandbox"],
        "tokio" => vec!["base", "proxy", "sandbox", "tls"],
        "rustls" => vec!["tls"],
        "pace-proxy" => vec!["author", "pace"],
        "pace-author" => vec!["pace"],
        "pace-harness" => vec!["author"],
        "pace-sandbox" => vec!["author", "harness", "pace", "proxy"],
        _ => Vec::new(),
    };
    let mut crates = 0;
    for entry in fs::read_dir(root().join("host")).expect("the directory is there") {
        let directory = entry.expect("it can be listed").path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).expect("each directory is a crate");
        let manifest: toml::Table = manifest.parse().expect("cargo reads it");
        let dependencies = manifest["dependencies"].as_table();
        for walled in [
            "wasmtime",
            "tokio",
            "rustls",
            "pace-proxy",
            "pace-author",
            "pace-harness",
            "pace-sandbox",
        ] {
            if dependencies.is_some_and(|table| table.contains_key(walled)) {
                assert!(allowed(walled).contains(&&*name), "{name} depends on {walled}");
            }
        }
        for pingora in ["pingora", "pingora-core", "pingora-proxy"] {
            assert!(
                !dependencies.is_some_and(|table| table.contains_key(pingora)),
                "{name} depends on {pingora}"
            );
        }
        crates += 1;
    }
    assert!(crates >= 10, "{crates} crates");
}

/// Crates of pure functions over bytes depend on nothing that is ours, so that each of their rules is tested alone.
#[test]
fn pure_crates_depend_on_no_other_of_the_host() {
    for name in ["content", "wire"] {
        let manifest = root().join("host").join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("the crate is there");
        let manifest: toml::Table = manifest.parse().expect("cargo reads it");
        let dependencies = manifest["dependencies"].as_table().expect("it has some");
        for dependency in dependencies.keys() {
            let is_ours = dependency.starts_with("pace-");
            assert!(!is_ours && dependency != "log", "{name} depends on {dependency}");
        }
    }
}

/// The chain joins the two. The request path knows plugins as what `pace-hook` says they are.
#[test]
fn request_path_does_not_know_how_plugins_are_run() {
    let in_path = |path: &str| path == "proxy/src/proxy.rs" || path.starts_with("proxy/src/proxy/");
    let knowing = host_files_that(&[], |code| has_crate(code, "pace_sandbox"));
    assert!(!knowing.is_empty(), "others do");
    let found: Vec<_> = knowing
        .iter()
        .filter(|path| in_path(&path.to_string_lossy()))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Plugins decide which clients are limited, which backend is chosen and which headers are set. The
/// configuration knows the default plugins by name because the short form stands for them.
#[test]
fn host_has_no_policy() {
    let words = [
        "429",
        "too_many_requests",
        "retry-after",
        "ratelimit",
        "x-proxy",
        "x-backend",
    ];
    // Unit tests and the templates of new plugins may take their examples from policy.
    let found = host_files_that(
        &[
            "config/src/",
            "harness/src/tests.rs",
            "harness/tests/",
            "harness/benches/",
            "author/src/new/templates/",
            // An authority for certificates says when to ask again.
            "tls/src/acme/",
            // Each status has its counterpart in gRPC.
            "proxy/src/proxy/grpc.rs",
            // A collector of spans says when it wants them later.
            "proxy/src/telemetry/tracing/collector.rs",
        ],
        |code| {
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code.to_ascii_lowercase();
            words.iter().any(|word| has_word(&code, word))
        },
    );
    assert!(found.is_empty(), "{found:?}");
}

/// Plugins use the contract and nothing of the host.
#[test]
fn plugins_do_not_know_the_host() {
    for directory in plugins(&["sdk"]) {
        let manifest = directory.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("each plugin is a crate");
        for foreign in [
            "pace-base",
            "pace-hook",
            "pace-proxy",
            "pace-sandbox",
            "pace-state",
            "wasmtime",
            "pingora",
        ] {
            assert!(
                !text.lines().any(|line| line.trim_start().starts_with(foreign)),
                "{foreign} in {}",
                manifest.display()
            );
        }
    }
}

/// The unsafe code that `export!` needs is the SDK's own.
#[test]
fn plugins_have_no_unsafe_code() {
    for directory in plugins(&[]) {
        let text = fs::read_to_string(directory.join("src/lib.rs")).expect("each plugin is a crate");
        assert!(
            text.lines().any(|line| line == "#![forbid(unsafe_code)]"),
            "{}",
            directory.display()
        );
    }
}

/// The directories of the default plugins, of those of the cookbook, and of other crates in `plugins/`.
fn plugins(others: &[&str]) -> Vec<PathBuf> {
    let mut names = crate::plugin_test::builtins();
    names.push("balancing".to_owned());
    names.extend(others.iter().map(|name| (*name).to_owned()));
    let recipes = crate::cookbook::crates();
    names.extend(recipes.iter().map(|name| format!("cookbook/{name}")));
    names
        .iter()
        .map(|name| root().join("plugins").join(name))
        .collect()
}

#[test]
fn fixture_has_a_test() {
    let tests: String = rust_files(&root().join("tests/tests"))
        .into_iter()
        .map(|path| fs::read_to_string(path).expect("it is a text"))
        .collect();
    let mut fixtures = 0;
    for directory in ["tests/fixtures/examples", "tests/fixtures/wat"] {
        for entry in fs::read_dir(root().join(directory)).expect("the directory is there") {
            let path = entry.expect("it can be listed").path();
            if path.extension().is_none_or(|extension| extension == "md") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            assert!(tests.contains(&format!("\"{name}\"")), "no test uses {name}");
            fixtures += 1;
        }
    }
    assert!(fixtures > 30, "{fixtures} fixtures");
}

/// The host's sources outside `allowed` whose code, without comments, satisfies `is`.
fn host_files_that(allowed: &[&str], is: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let source = root().join("host");
    let files = rust_files(&source);
    assert!(files.len() > 50, "{} files", files.len());
    files
        .into_iter()
        .map(|path| path.strip_prefix(&source).expect("it is below").to_owned())
        .filter(|path| {
            let path = path.to_string_lossy();
            !allowed
                .iter()
                .any(|wall| *path == **wall || (wall.ends_with('/') && path.starts_with(wall)))
        })
        .filter(|path| is(&code(&source.join(path))))
        .collect()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a source without its comments, which may name anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it is a text");
    text.lines()
        .filter_map(|line| line.split("//").next())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether the code names a crate, or one that belongs to it (`wasmtime_wasi`).
fn has_crate(code: &str, name: &str) -> bool {
    identifiers(code)
        .any(|word| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('_')))
}

/// Whether the code has a word, and not only as a part of another.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        !is_part(code[..at].chars().next_back()) && !is_part(code[at + word.len()..].chars().next())
    })
}

fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn scan_tells_names_from_their_parts_and_ignores_comments() {
    assert!(has_crate("use wasmtime_wasi::Context;", "wasmtime"));
    assert!(!has_crate("let my_wasmtime = wasmtimes;", "wasmtime"));
    assert!(has_word("status == 429;", "429"));
    assert!(!has_word("0x4290", "429"));
    assert!(!code(&root().join("host/proxy/src/lib.rs")).contains("wasmtime"));
}
