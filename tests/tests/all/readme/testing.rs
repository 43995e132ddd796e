//! docs/testing-plugins.md compared with `pace plugin`: its cases are run, and its table of keys is compared
//! with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use pace_tests::{Exit, Setup, recipe};

use super::page::{Block, Page, code, is_output};

/// Each table of a file of cases, and a file in which the key `zzz` is in it.
const TABLES: [(&str, &str); 26] = [
    ("the file", "zzz = 1"),
    ("[defaults]", "[defaults]\nzzz = 1"),
    ("[budget]", "[budget]\nzzz = 1"),
    ("[[case]]", "[[case]]\nzzz = 1"),
    ("[[case.step]]", "[[case]]\n[[case.step]]\nzzz = 1"),
    ("before", "[[case]]\nbefore = [{ zzz = 1 }]"),
    ("after", "[[case]]\nafter = [{ zzz = 1 }]"),
    ("keep", "[[case]]\n[[case.step]]\nkeep.x = { zzz = 1 }"),
    ("request", "[[case]]\nrequest = { zzz = 1 }"),
    (
        "request.client_certificate",
        "[[case]]\nrequest.client_certificate = { zzz = 1 }",
    ),
    ("response", "[[case]]\nresponse = { zzz = 1 }"),
    ("outcome", "[[case]]\noutcome = { zzz = 1 }"),
    ("pool", "[[case]]\npool = { zzz = 1 }"),
    ("pool.backends", "[[case]]\npool.backends = [{ zzz = 1 }]"),
    ("attempts", "[[case]]\nattempts = [{ zzz = 1 }]"),
    ("last_failure", "[[case]]\nlast_failure = { zzz = 1 }"),
    ("windows", "[[case]]\nwindows = [{ zzz = 1 }]"),
    ("shuffle", "[[case]]\nshuffle = { zzz = 1 }"),
    ("tally", "[[case]]\ntally = { zzz = 1 }"),
    ("expect", "[[case]]\nexpect = { zzz = 1 }"),
    ("expect.request", "[[case]]\nexpect.request = { zzz = 1 }"),
    ("expect.response", "[[case]]\nexpect.response = { zzz = 1 }"),
    ("expect.attempts", "[[case]]\nexpect.attempts = [{ zzz = 1 }]"),
    ("expect.windows", "[[case]]\nexpect.windows = [{ zzz = 1 }]"),
    ("expect.failure", "[[case]]\nexpect.failure = { zzz = 1 }"),
    // These two are no tables: they stand for a text and a number.
    ("a text", "[[case]]\nexpect.backend = { zzz = 1 }"),
];

fn page() -> Page {
    Page::of("docs/testing-plugins.md")
}

/// Runs a file of cases from the directory that the page names.
fn run(cases: &str, args: &[&str]) -> Exit {
    let setup = Setup::new();
    let directory = setup.directory().join("tests");
    fs::create_dir(&directory).expect("a temporary directory can be filled");
    let cases = ["ab-split", "redact"]
        .iter()
        .fold(cases.to_owned(), |cases, name| {
            cases.replace(&format!("../{name}.wasm"), &recipe(name).to_string_lossy())
        });
    fs::write(directory.join("limit.toml"), cases).expect("a temporary directory can be filled");
    setup.args(["plugin"]).args(args).run()
}

/// The table, the key and its range, for each row and each of the tables that it names.
fn keys() -> Vec<(String, String, String)> {
    let mut tables = Vec::new();
    let mut keys = Vec::new();
    for row in page().table("| table | key | default | allowed | |") {
        if !row[0].is_empty() {
            tables = match code(&row[0]) {
                tables if tables.is_empty() => vec![row[0].clone()],
                tables => tables,
            };
        }
        let key = code(&row[1]).remove(0);
        for table in &tables {
            keys.push((table.clone(), key.clone(), row[3].clone()));
        }
    }
    keys
}

/// The keys that the program allows beside `zzz`.
fn allowed(cases: &str) -> BTreeSet<String> {
    let exit = run(cases, &["test"]);
    let line = exit
        .refusal()
        .lines()
        .find(|line| line.contains("unknown key `zzz`"));
    let (_, list) = line
        .and_then(|line| line.split_once("Allowed: "))
        .unwrap_or_else(|| panic!("no list of keys in: {}", exit.stderr));
    code(list).into_iter().collect()
}

#[test]
fn keys_on_the_page_are_those_of_the_program() {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, key, _) in keys() {
        let new = documented.entry(table.clone()).or_default().insert(key.clone());
        assert!(new, "{table} {key} is there twice");
    }
    let text = ["contains", "matches"].map(str::to_owned);
    documented.insert("a text".to_owned(), BTreeSet::from(text));
    let known: BTreeMap<String, BTreeSet<String>> = TABLES
        .iter()
        .map(|(table, cases)| ((*table).to_owned(), allowed(cases)))
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn ranges_on_the_page_are_those_of_the_program() {
    let mut compared = 0;
    for (table, key, allowed) in keys() {
        let Some((Ok(least), Ok(most))) = allowed
            .split_once(" to ")
            .map(|(least, most)| (least.parse::<i64>(), most.parse::<i64>()))
        else {
            continue;
        };
        let (_, cases) = TABLES
            .iter()
            .find(|(known, _)| *known == table)
            .expect("compared above");
        for outside in [least - 1, most + 1] {
            let exit = run(
                &cases.replace("zzz = 1", &format!("{key} = {outside}")),
                &["test"],
            );
            let expected = format!("expected an integer from {least} to {most}, found the integer {outside}");
            assert!(
                exit.refusal().contains(&expected),
                "{table} {key}: {}",
                exit.stderr
            );
        }
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} ranges");
}

#[test]
fn verdicts_and_commands_on_the_page_are_those_of_the_program() {
    let first_cells = |header: &str| -> BTreeSet<String> {
        let rows = page().table(header);
        rows.iter().flat_map(|row| code(&row[0])).collect()
    };
    let message = run("[[case]]\nexpect.verdict = 'zzz'", &["test"]);
    let (_, known) = message
        .refusal()
        .split_once("Allowed: ")
        .expect("they are listed");
    let known = known.lines().next().unwrap_or_default();
    assert_eq!(first_cells("| verdict | |"), code(known).into_iter().collect());

    let help = run("", &["--help"]).stdout;
    for command in first_cells("| command | |") {
        let name = command.strip_prefix("pace plugin ").expect("they are all its");
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(name)),
            "{name} in:\n{help}"
        );
    }
}

/// Every file of cases on the page passes, except for the one that is shown to fail, and the output is as
/// shown.
#[test]
fn cases_on_the_page_do_what_it_says() {
    let page = page();
    let mut ran = 0;
    for (index, block) in page.blocks.iter().enumerate() {
        if block.language != "toml" || !block.text.contains("[[case]]") {
            continue;
        }
        let fails = block.text.starts_with("# fails");
        let exit = run(&block.text, &["test"]);
        assert_eq!(
            exit.code,
            Some(i32::from(fails)),
            "line {}: {exit:#?}",
            block.line
        );
        assert!(
            exit.stdout.contains(if fails { "FAIL" } else { "  ok  " }),
            "{exit:#?}"
        );
        let following = |block: Option<&Block>| match block {
            Some(block) if block.language == "text" => Some(block.text.clone()),
            _ => None,
        };
        let after_command = page
            .blocks
            .get(index + 1)
            .filter(|block| block.text == "pace plugin test\n");
        let shown = match after_command {
            Some(_) => following(page.blocks.get(index + 2)),
            None => following(page.blocks.get(index + 1)),
        };
        if let Some(shown) = shown {
            assert_output(&shown, &exit.stdout);
        }
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} files of cases");
}

/// Cases, the command that measures them, and the output shown.
fn measurements(page: &Page) -> Vec<(&Block, &Block, &Block)> {
    let is = |block: &&Block, language: &str| block.language == language;
    let first = page.blocks.iter().find(|block| is(block, "toml"));
    let bench = |block: &Block| block.language == "sh" && block.text.starts_with("pace plugin bench ");
    let commands = page.blocks.iter().enumerate().filter(|(_, block)| bench(block));
    commands
        .map(|(index, command)| {
            // The cases are in the previous block, or else in the page's first file.
            let before = page.blocks[..index].last();
            let before = before.filter(|block| is(block, "toml") && block.text.contains("[budget]"));
            let shown = page.blocks.get(index + 1).filter(|block| is(block, "text"));
            (
                before.or(first).expect("there are cases"),
                command,
                shown.expect("it is shown"),
            )
        })
        .collect()
}

#[test]
fn measurements_look_as_on_the_page() {
    let page = page();
    let measurements = measurements(&page);
    for (cases, command, shown) in &measurements {
        let args: Vec<&str> = command.text.split_whitespace().skip(2).collect();
        let exit = run(&cases.text, &args);
        match shown.text.starts_with("pace: ") {
            true => {
                assert_eq!(exit.code, Some(1), "{exit:#?}");
                assert_output(&shown.text, &exit.stderr);
            }
            false => {
                assert_eq!(exit.code, Some(0), "{exit:#?}");
                assert_output(&shown.text, &exit.stdout);
            }
        }
    }
    assert_eq!(measurements.len(), 2, "one within the budget and one over it");
}

/// Compares outputs with runs of blanks as one: columns are as wide as their content.
fn assert_output(shown: &str, output: &str) {
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let (shown_lines, output_lines) = (lines(shown), lines(output));
    fn borrowed(lines: &[String]) -> Vec<&str> {
        lines.iter().map(String::as_str).collect()
    }
    assert!(
        is_output(&borrowed(&shown_lines), &borrowed(&output_lines)),
        "shown:\n{shown}\nbut it is:\n{output}"
    );
}
