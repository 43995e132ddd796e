//! docs/contract.md is the contract in `wit/` as a page, and is generated, so that the two cannot differ:
//!
//! ```sh
//! PACE_BLESS=1 cargo test -p pace-tests --test all contract_page
//! ```

use std::env;
use std::fmt::Write;
use std::fs;

use pace_tests::root;

/// The files in the order in which an author meets them.
const FILES: [&str; 30] = [
    "worlds",
    "lifecycle",
    "request-filter",
    "request-body-filter",
    "request-stream-filter",
    "attempt-filter",
    "select-upstream",
    "response-filter",
    "response-body-filter",
    "response-stream-filter",
    "finished",
    "request",
    "request-body",
    "response",
    "response-body",
    "content",
    "streams",
    "upstreams",
    "attempt",
    "outcome",
    "context",
    "counters",
    "windows",
    "tables",
    "metrics",
    "secrets",
    "random",
    "log",
    "clock",
    "http",
];

const INTRODUCTION: &str = "# The contract

What a plugin exports and what it can call: the package `pace:plugin@0.1.0`, generated from the files in
[`wit/`](../wit), which are the contract. [`wit/README.md`](../wit/README.md) has the rules for its changes, and
[plugins.md](plugins.md) begins at the beginning.

| file | |
|---|---|
";

#[test]
fn page_is_generated_from_the_contract() {
    let mut page = INTRODUCTION.to_owned();
    let files = FILES.map(|name| (name, File::read(name)));
    for (name, file) in &files {
        let summary = file
            .items
            .first()
            .map_or("", |item| item.docs.lines().next().unwrap_or_default());
        writeln!(page, "| [{name}](#{name}) | {summary} |").expect("a text takes everything");
    }
    for (name, file) in &files {
        write!(page, "\n## {name}\n{}", file.render()).expect("a text takes everything");
    }
    let path = root().join("docs/contract.md");
    if env::var_os("PACE_BLESS").is_some() {
        fs::write(&path, &page).expect("the repository can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/contract.md is not what wit/ says: PACE_BLESS=1 cargo test -p pace-tests --test all contract_page"
    );
}

#[test]
fn page_has_every_file_of_the_contract() {
    let directory = fs::read_dir(root().join("wit")).expect("it is there");
    let mut names: Vec<String> = directory
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter_map(|name| name.strip_suffix(".wit").map(str::to_owned))
        .collect();
    names.sort();
    let mut listed = FILES;
    listed.sort_unstable();
    assert_eq!(names, listed);
}

/// A documented item: the comment's text, the item's depth, and its code up to the next comment.
struct Item {
    docs: String,
    depth: usize,
    code: String,
}

struct File {
    items: Vec<Item>,
}

impl File {
    fn read(name: &str) -> File {
        let path = root().join("wit").join(name).with_extension("wit");
        let text = fs::read_to_string(path).expect("it is there");
        let mut items: Vec<Item> = Vec::new();
        let mut in_docs = false;
        // The first line names the package.
        for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
            let code = line.trim_start();
            if let Some(docs) = code.strip_prefix("///") {
                if !in_docs {
                    items.push(Item {
                        docs: String::new(),
                        depth: (line.len() - code.len()) / 4,
                        code: String::new(),
                    });
                }
                in_docs = true;
                let item = items.last_mut().expect("one has begun");
                item.docs.push_str(docs.strip_prefix(' ').unwrap_or(docs));
                item.docs.push('\n');
            } else {
                in_docs = false;
                let item = items.last_mut().expect("everything has documentation before it");
                // Indentation relative to the item: a case of a variant begins at the left.
                let indent = " ".repeat((line.len() - code.len()).saturating_sub(item.depth * 4));
                writeln!(item.code, "{indent}{code}").expect("a text takes everything");
            }
        }
        File { items }
    }

    fn render(&self) -> String {
        let mut page = String::new();
        for item in &self.items {
            let code = item.code.trim_end();
            let first = code.lines().next().unwrap_or_default();
            let is_block = first.ends_with('{');
            let shown = match () {
                // Closing braces of earlier blocks are left out.
                () if !is_block => item
                    .code
                    .lines()
                    .take_while(|line| *line != "}")
                    .collect::<Vec<_>>()
                    .join("\n"),
                () => code.to_owned(),
            };
            let statement = shown.trim_end_matches([';', ',', '{', '}', '\n', ' ']);
            let _ = match item.depth {
                0 if is_block => write!(page, "\n### `{}`\n\n{}", first.trim_end_matches(" {"), item.docs),
                0 => write!(page, "\n{}", item.docs),
                1 if is_block => write!(page, "\n#### `{}`\n\n{}", first.trim_end_matches(" {"), item.docs),
                1 => write!(
                    page,
                    "\n#### `{}`\n\n```wit\n{statement}\n```\n\n{}",
                    name_of(statement),
                    item.docs
                ),
                _ if statement.contains("func(") => {
                    write!(
                        page,
                        "\n##### `{}`\n\n```wit\n{statement}\n```\n\n{}",
                        name_of(statement),
                        item.docs
                    )
                }
                _ => write!(
                    page,
                    "\n- `{statement}`: {}",
                    item.docs.trim_end().replace('\n', "\n  ")
                )
                .and_then(|()| writeln!(page)),
            };
            // Items without a comment stay in the code: imports of a world, fields of a record.
            let inner = |line: &'_ str| line.strip_prefix("    ").unwrap_or(line).to_owned();
            let rest: Vec<String> = code
                .lines()
                .skip(1)
                .filter(|line| !["", "}"].contains(line))
                .map(inner)
                .collect();
            if is_block && !rest.is_empty() {
                let _ = write!(page, "\n```wit\n{}\n```\n", rest.join("\n"));
            }
        }
        page
    }
}

fn name_of(statement: &str) -> &str {
    statement.split(':').next().unwrap_or_default().trim()
}
