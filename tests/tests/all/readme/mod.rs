//! README.md and `docs/` are true: their commands are run, their configurations are checked, their plugin is
//! compiled, serves and is swapped, their tables are compared with the program, and their messages are
//! provoked.

mod balancers;
mod commands;
mod messages;
mod operations;
pub(crate) mod page;
mod plugins;
mod tables;
mod testing;

use std::fs;

use pace_tests::{Authority, Setup, root};

use page::Page;
pub(crate) use tables::metrics;

use crate::issuing::issue_all;

#[test]
fn configurations_on_the_pages_are_valid() {
    let (authority, mut checked) = (Authority::new("tests"), 0);
    for page in Page::all() {
        let configurations = page
            .blocks
            .iter()
            // Blocks with a file name are part of a story, which starts them.
            .filter(|block| block.language == "toml" && block.file().is_none());
        for block in configurations {
            let setup = Setup::new().args(["check"]).config(&block.text);
            issue_all(&authority, &block.text, setup.directory());
            let exit = setup.run();
            assert_eq!(exit.code, Some(0), "{}:{}: {exit:#?}", page.name, block.line);
            assert!(exit.stdout.starts_with("ok: "), "{exit:#?}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "the short and the full form, listeners, and a pin");
}

/// Further pages with links. Their content is tested elsewhere, if at all.
const OTHERS: [&str; 6] = [
    "docs/testing-plugins.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "wit/README.md",
    "docs/cookbook.md",
    "docs/performance.md",
];

#[test]
fn links_have_a_target() {
    let pages = Page::all().map(|page| page.name);
    for file in [&pages[..], &OTHERS[..]].concat() {
        let path = root().join(file);
        let text = fs::read_to_string(&path).expect("it is there");
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
            .filter(|target| !target.starts_with("http"));
        for target in targets {
            let target = target.split('#').next().unwrap_or_default();
            let exists = path
                .parent()
                .is_some_and(|directory| directory.join(target).exists());
            assert!(exists, "{file} links to {target}, which is not there");
        }
    }
}
