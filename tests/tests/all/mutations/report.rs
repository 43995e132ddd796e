//! The report of failures, for people: a table of kinds, and an example of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::judge::Wrong;

/// A table of the kinds, then the shortest example of each. `alone` is the command that runs one case, with
/// `NUMBER` in place of its number.
pub(crate) fn report(mut failures: Vec<(usize, String, Wrong)>, alone: &str) -> String {
    failures.sort_by_key(|(number, _, _)| *number);
    let count = failures.len();
    let mut kinds: BTreeMap<String, Vec<(usize, String, Wrong)>> = BTreeMap::new();
    for failure in failures {
        kinds.entry(failure.2.kind.clone()).or_default().push(failure);
    }
    let mut report = format!("{count} cases went wrong in {} ways\n", kinds.len());
    for (kind, failures) in &kinds {
        let _ = writeln!(report, "{:6} {kind}", failures.len());
    }
    for (kind, failures) in &kinds {
        let Some((number, story, wrong)) = failures.iter().min_by_key(|(_, story, _)| story.len()) else {
            continue;
        };
        let numbers: Vec<String> = failures
            .iter()
            .take(12)
            .map(|(number, _, _)| number.to_string())
            .collect();
        let alone = alone.replace("NUMBER", &number.to_string());
        let _ = write!(
            report,
            "\n== {kind}\n   case {number}; all of this kind: {}\n{story}   seen: {}\n   alone: {alone}\n",
            numbers.join(" "),
            wrong.detail,
        );
    }
    report
}

/// Bytes as text, with escapes. Repeated bytes are counted, and of very many only the first and the last are
/// shown.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 1500;
    if bytes.len() > 3 * SHOWN {
        let (first, rest) = bytes.split_at(SHOWN);
        let (left_out, last) = rest.split_at(rest.len() - SHOWN);
        return format!("{}<{} bytes>{}", shown(first), left_out.len(), shown(last));
    }
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        match run {
            [byte, ..] if run.len() > 24 => {
                let _ = write!(text, "{}<{} times>", [*byte].escape_ascii(), run.len());
            }
            run => {
                let _ = write!(text, "{}", run.escape_ascii());
            }
        }
    }
    text
}

/// The positions of cuts, as text.
pub(crate) fn shown_cuts(cuts: &[usize]) -> String {
    match cuts {
        [] => "in one piece".to_owned(),
        cuts if cuts.len() < 10 => format!("cut at {cuts:?}"),
        _ => "byte by byte".to_owned(),
    }
}

#[test]
fn report_has_each_kind_once_with_a_command_to_run_it() {
    let wrong = |kind: &str| Wrong {
        kind: kind.to_owned(),
        detail: "a detail".to_owned(),
    };
    let failures = vec![
        (9, "a longer story\n".to_owned(), wrong("smuggled")),
        (3, "a story\n".to_owned(), wrong("smuggled")),
        (4, "another\n".to_owned(), wrong("lost")),
    ];
    let report = report(failures, "run NUMBER");
    assert!(
        report.starts_with("3 cases went wrong in 2 ways\n     1 lost\n     2 smuggled\n"),
        "{report}"
    );
    assert!(
        report.contains("case 3; all of this kind: 3 9\na story\n   seen: a detail\n   alone: run 3\n"),
        "{report}"
    );
    assert!(!report.contains("a longer story"), "{report}");
}

#[test]
fn bytes_are_shown_with_escapes_and_repetitions_counted() {
    assert_eq!(shown(b"a\r\n\0\xff\"\\"), r#"a\r\n\x00\xff\"\\"#);
    assert_eq!(shown(&[b'v'; 300]), "v<300 times>");
    assert_eq!(shown(&[b'v'; 5000]), "v<1500 times><2000 bytes>v<1500 times>");
}
