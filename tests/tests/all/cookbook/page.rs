//! docs/cookbook.md has every plugin of the cookbook, with a configuration that works and with its hooks,
//! which are copied from its source:
//!
//! ```sh
//! PACE_BLESS=1 cargo test -p pace-tests --test all cookbook::page
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use pace_tests::{HttpBackend, Setup, recipe, root};

use super::crates;
use crate::readme::page::Page;
use crate::sections::{SERVER, pool};

/// The first `[[plugins]]` entry of each section, by the name of its plugin.
fn entries() -> BTreeMap<String, String> {
    let blocks = Page::of("docs/cookbook.md").blocks;
    let entries = blocks.into_iter().filter(|block| block.language == "toml");
    entries
        .map(|block| {
            let name = block.section.trim_start_matches("## ").to_owned();
            assert!(
                block.text.contains(&format!("wasm = \"{name}.wasm\"\n")),
                "line {}",
                block.line
            );
            (name, block.text)
        })
        .collect()
}

#[test]
fn page_has_every_plugin() {
    assert_eq!(entries().into_keys().collect::<BTreeSet<_>>(), crates());
}

#[test]
fn configurations_on_the_page_start() {
    for (name, entry) in entries() {
        let wasm = format!("wasm = {:?}", recipe(&name));
        let entry = entry.replace(&format!("wasm = \"{name}.wasm\""), &wasm);
        let config = format!(
            "{SERVER}\n{entry}\n{}\n[[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
            pool("web", &[&HttpBackend::down()])
        );
        // The secrets of the plugins that have some.
        let setup = ["WEBHOOK_SECRET", "FIRST_API_KEY", "SECOND_API_KEY"]
            .into_iter()
            .fold(Setup::new(), |setup, name| {
                setup.env(name, "It's a secret to everybody")
            });
        let exit = setup.config(&config).start().stop();
        assert_eq!(exit.code, Some(0), "{name}: {}", exit.stderr);
        assert!(!exit.stderr.contains("WARN"), "{name}:\n{}", exit.stderr);
    }
}

/// The page's table of keys is the table in the plugin's documentation.
#[test]
fn keys_on_the_page_are_those_of_the_plugin() {
    let page = fs::read_to_string(root().join("docs/cookbook.md")).expect("the page is there");
    for name in crates() {
        let file = root().join("plugins/cookbook").join(&name).join("src/lib.rs");
        let source = fs::read_to_string(file).expect("each is a crate");
        let documented = source.lines().filter_map(|line| line.strip_prefix("//! "));
        let mut rows = 0;
        for row in documented.filter(|line| line.starts_with("| `")) {
            assert!(
                page.lines().any(|line| line == row),
                "docs/cookbook.md lacks this row of {name}:\n{row}"
            );
            rows += 1;
        }
        assert!(rows > 0, "{name} documents no key");
    }
}

/// The hooks on the page are shown as they are in the plugin.
#[test]
fn hooks_on_the_page_are_those_of_the_plugin() {
    let path = root().join("docs/cookbook.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let mut expected = page.clone();
    for name in crates() {
        let (begin, end) = (format!("<!-- source: {name} -->\n"), "<!-- end -->");
        let place = expected.split_once(&begin).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(end)?;
            Some((before.to_owned(), after.to_owned()))
        });
        let Some((before, after)) = place else {
            panic!("docs/cookbook.md has no place for the source of {name}: {begin}{end}");
        };
        expected = format!("{before}{begin}{}{end}{after}", hooks(&name));
    }
    if env::var_os("PACE_BLESS").is_some() {
        fs::write(&path, &expected).expect("the repository can be written");
        return;
    }
    assert!(
        page == expected,
        "docs/cookbook.md shows other hooks than the plugins have: \
         `PACE_BLESS=1 cargo test -p pace-tests --test all cookbook::page` writes them"
    );
}

/// The hooks of a plugin, as the page shows them.
fn hooks(name: &str) -> String {
    const TRAITS: [&str; 9] = [
        "RequestFilter",
        "RequestBodyFilter",
        "RequestStreamFilter",
        "AttemptFilter",
        "SelectUpstream",
        "ResponseFilter",
        "ResponseBodyFilter",
        "ResponseStreamFilter",
        "Finished",
    ];
    let file = format!("plugins/cookbook/{name}/src/lib.rs");
    let source = fs::read_to_string(root().join(&file)).expect("each is a crate");
    let begins = |line: &str| {
        TRAITS
            .iter()
            .any(|hook| line.starts_with(&format!("impl {hook} for ")))
    };
    let mut shown = String::new();
    let mut lines = source.lines();
    while let Some(first) = lines.find(|line| begins(line)) {
        if !shown.is_empty() {
            shown.push('\n');
        }
        let body = lines.by_ref().take_while(|line| *line != "}");
        for line in [first].into_iter().chain(body).chain(["}"]) {
            shown += line;
            shown.push('\n');
        }
    }
    assert!(!shown.is_empty(), "{file} has no hook");
    format!("\nWhat it does, in [{name}/src/lib.rs](../{file}):\n\n```rust\n{shown}```\n\n")
}

/// The promises of a plugin are the names of its cases, in their order.
#[test]
fn promises_on_the_page_are_cases() {
    let page = fs::read_to_string(root().join("docs/cookbook.md")).expect("the page is there") + "\n";
    for name in crates() {
        let promises: String = files(&root().join("plugins/cookbook").join(&name).join("tests"), "toml")
            .iter()
            .map(|path| promises(path))
            .collect();
        assert!(
            page.contains(&format!("\n\n{promises}")),
            "docs/cookbook.md does not say of {name}:\n\n{promises}"
        );
    }
}

/// A file of cases, as the page shows it.
fn promises(cases: &Path) -> String {
    let text = fs::read_to_string(cases).expect("it is a text");
    let table: toml::Table = text.parse().expect("`pace plugin test` has read it");
    let names = table["case"].as_array().expect("cases are a list").iter();
    let shown = cases
        .strip_prefix(root())
        .expect("it is in the repository")
        .display();
    let name = cases.file_name().expect("it is a file").to_string_lossy();
    let lines = names.map(|case| format!("- {}\n", case["name"].as_str().expect("a case has a name")));
    format!(
        "What it promises ([{name}](../{shown})):\n\n{}\n",
        lines.collect::<String>()
    )
}

/// A plugin is small enough to be read before it is run: under 200 lines, with all of its code and its tests
/// in Rust.
#[test]
fn plugin_has_fewer_than_200_lines() {
    for name in crates() {
        let sources = files(&root().join("plugins/cookbook").join(&name), "rs");
        let text = |path: &PathBuf| fs::read_to_string(path).expect("it is a text");
        let lines: usize = sources.iter().map(|path| text(path).lines().count()).sum();
        assert!((10..200).contains(&lines), "{name} has {lines} lines");
    }
}

/// All files with this extension, in a directory and below it.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("each crate has it") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|of| of == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
