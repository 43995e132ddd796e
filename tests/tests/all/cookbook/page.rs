//! docs/cookbook.md has every plugin of the cookbook, with a configuration that works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use pace_tests::{Origin, Setup, recipe, root};

use crate::readme::page::Page;
use crate::sections::{SERVER, pool};

/// The crates in `plugins/cookbook`.
fn crates() -> BTreeSet<String> {
    let directory = fs::read_dir(root().join("plugins/cookbook")).expect("the directory is there");
    directory
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

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
fn every_plugin_is_on_the_page() {
    assert_eq!(entries().into_keys().collect::<BTreeSet<_>>(), crates());
}

#[test]
fn every_configuration_on_the_page_starts() {
    for (name, entry) in entries() {
        let wasm = format!("wasm = {:?}", recipe(&name));
        let entry = entry.replace(&format!("wasm = \"{name}.wasm\""), &wasm);
        let config = format!(
            "{SERVER}\n{entry}\n{}\n[[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
            pool("web", &[&Origin::down()])
        );
        let exit = Setup::new().config(&config).start().stop();
        assert_eq!(exit.code, Some(0), "{name}: {}", exit.stderr);
        assert!(!exit.stderr.contains("WARN"), "{name}:\n{}", exit.stderr);
    }
}

/// The table of keys on the page is the one that stands in the plugin itself.
#[test]
fn every_key_on_the_page_is_one_of_the_plugin() {
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

/// Small enough to be read before it is run. The two that are longer follow a standard with many rules.
#[test]
fn every_plugin_is_short() {
    for name in crates() {
        let directory = root().join("plugins/cookbook").join(&name).join("src");
        let lines: usize = fs::read_dir(directory)
            .expect("each is a crate")
            .map(|entry| entry.expect("it can be listed").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .filter(|path| path.file_name().is_some_and(|name| name != "tests.rs"))
            .map(|path| lines_of_code(&fs::read_to_string(path).expect("it is a text")))
            .sum();
        let most = match name.as_str() {
            "jwt" => 250,
            "cors" => 180,
            _ => 150,
        };
        assert!((10..=most).contains(&lines), "{name} has {lines} lines of code");
    }
}

/// Without tests, comments and empty lines.
fn lines_of_code(source: &str) -> usize {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default().lines();
    code.map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}
