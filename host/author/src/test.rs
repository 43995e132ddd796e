//! `pace plugin test`: runs cases and reports their results.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use super::cases::{self, Case, CaseFailure, CaseResult, Difference, Plugins, Suite};
use super::print;
use crate::cli::{CommandError, TestArgs};
use pace_config::Location;
use pace_harness::Subject;

/// Some cases failed.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} cases failed")]
struct CasesFailed {
    failed: usize,
    all: usize,
}

/// No case was run, which cannot be intended.
#[derive(Debug, thiserror::Error)]
enum NothingRun {
    #[error("no case has {0:?} in its name; `--list` shows all names")]
    NoMatch(String),
    #[error("{0} does not say which plugin it is for: add `wasm = \"...\"`, or use --wasm FILE")]
    NoPlugin(String),
}

pub(super) fn run(args: &TestArgs) -> Result<(), CommandError> {
    let mut suites = Vec::new();
    for file in cases::find(&args.path)? {
        suites.push(cases::load(&file)?);
    }
    let chosen = |case: &&Case| args.filter.as_ref().is_none_or(|part| case.name.contains(part));
    if let Some(part) = &args.filter
        && !suites
            .iter()
            .any(|suite| suite.cases.iter().any(|case| chosen(&case)))
    {
        return Err(NothingRun::NoMatch(part.clone()).into());
    }
    let mut subjects = Subjects::default();
    let (mut all, mut failed) = (0, 0);
    for suite in &suites {
        let cases: Vec<&Case> = suite.cases.iter().filter(chosen).collect();
        if cases.is_empty() {
            continue;
        }
        if args.list {
            let lines = cases
                .iter()
                .map(|case| format!("{}:{}: {}\n", suite.path.display(), case.line, case.name));
            print(&lines.collect::<String>())?;
            continue;
        }
        let tested = subjects.tested(suite, args)?;
        for neighbor in cases.iter().flat_map(|case| case.neighbors.iter()) {
            subjects.load(&neighbor.wasm)?;
        }
        let plugins = Plugins {
            tested: &subjects.0[&tested],
            others: &subjects.0,
        };
        print(&format!("{}, for {tested}\n", suite.path.display()))?;
        for case in cases {
            let result = cases::run(case, plugins);
            print(&report(&suite.path, case, &result))?;
            all += 1;
            failed += usize::from(result.failed.is_some());
        }
        print("\n")?;
    }
    match (args.list, failed) {
        (true, _) => Ok(()),
        (false, 0) => {
            let cases = if all == 1 { "case" } else { "cases" };
            Ok(print(&format!("{all} {cases} passed\n"))?)
        }
        (false, failed) => Err(CasesFailed { failed, all }.into()),
    }
}

/// Plugins, each compiled once.
#[derive(Default)]
struct Subjects(HashMap<String, Subject>);

impl Subjects {
    /// Loads the plugin under test, and returns its name.
    fn tested(&mut self, suite: &Suite, args: &TestArgs) -> Result<String, CommandError> {
        let name = match args.wasm.as_ref().or(suite.wasm.as_ref()) {
            Some(name) => name.clone(),
            None => return Err(NothingRun::NoPlugin(suite.path.display().to_string()).into()),
        };
        self.load(&name)?;
        Ok(name)
    }

    fn load(&mut self, name: &str) -> Result<(), CommandError> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Subject::load(name)?);
        }
        Ok(())
    }
}

/// The report of a case: one line if it passed, a paragraph if it failed.
fn report(path: &Path, case: &Case, result: &CaseResult) -> String {
    let name = &case.name;
    let Some(failed) = &result.failed else {
        return match result.requests {
            0 | 1 => format!("  ok    {name}\n"),
            requests => format!("  ok    {name} ({requests} requests)\n"),
        };
    };
    let mut text = format!("  FAIL  {name}\n        {}:{}", path.display(), case.line);
    if !failed.place.is_empty() {
        let _ = write!(text, ": {}", failed.place);
    }
    text.push('\n');
    for difference in &failed.differences {
        text.push_str(&shown(difference));
    }
    text.push_str(&logged(failed));
    text.push('\n');
    text
}

fn logged(failed: &CaseFailure) -> String {
    let mut text = String::new();
    if !failed.lines.is_empty() {
        text.push_str("\n        the plugin logged\n");
        for line in &failed.lines {
            let _ = writeln!(text, "          {line}");
        }
    }
    text
}

/// The expected and the found value, below each other.
fn shown(difference: &Difference) -> String {
    let Difference {
        location,
        key,
        expected,
        found,
    } = difference;
    let mut text = String::from("\n");
    match location {
        Some(Location::Line(path, excerpt)) => {
            let (line, column) = (excerpt.line(), excerpt.column());
            let _ = writeln!(text, "        {}:{line}:{column}: {key}", path.display());
            for line in excerpt.to_string().lines() {
                let _ = writeln!(text, "        {line}");
            }
        }
        Some(Location::File(_) | Location::CommandLine(_)) | None => {
            let _ = writeln!(text, "        {key}");
        }
    }
    if expected.is_empty() {
        for line in found.lines() {
            let _ = writeln!(text, "          {line}");
        }
        return text;
    }
    if !expected.contains('\n') && !found.contains('\n') {
        let _ = writeln!(
            text,
            "          expected  {expected}\n          found     {found}"
        );
        return text;
    }
    for (sign, line) in lines(expected, found) {
        let _ = writeln!(text, "          {sign} {line}");
    }
    text
}

/// A difference of texts of several lines: `-` marks expected lines, `+` found ones, and lines common at the
/// beginning and the end are unmarked.
fn lines<'t>(expected: &'t str, found: &'t str) -> Vec<(char, &'t str)> {
    // A line end that only one of them has at its end is an empty line more.
    let both = |text: &'t str, other: &str| -> Vec<&'t str> {
        let other_ends = other.ends_with('\n');
        let text = text.strip_suffix('\n').filter(|_| other_ends).unwrap_or(text);
        if text.is_empty() {
            Vec::new()
        } else {
            text.split('\n').collect()
        }
    };
    let (expected, found) = (both(expected, found), both(found, expected));
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut expected.iter().zip(&found));
    let rest = expected.len().min(found.len()) - head;
    let tail = same(&mut expected.iter().rev().zip(found.iter().rev())).min(rest);
    let mut lines: Vec<(char, &str)> = Vec::new();
    lines.extend(expected[..head].iter().map(|line| (' ', *line)));
    lines.extend(
        expected[head..expected.len() - tail]
            .iter()
            .map(|line| ('-', *line)),
    );
    lines.extend(found[head..found.len() - tail].iter().map(|line| ('+', *line)));
    lines.extend(found[found.len() - tail..].iter().map(|line| (' ', *line)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_common_at_both_ends_are_unmarked() {
        let signs =
            |expected, found| -> String { lines(expected, found).iter().map(|(sign, _)| *sign).collect() };
        assert_eq!(signs("a\nb\nc", "a\nx\nc"), " -+ ");
        assert_eq!(signs("a\nb", "a\nb\nc"), "  +");
        assert_eq!(signs("a\na", "a"), " -");
        assert_eq!(signs("a", "b"), "-+");
        assert_eq!(signs("", "b\nc"), "++");
        assert_eq!(signs("a\nb", "a\nb\n"), "  +");
        assert_eq!(signs("a\nb\n", "a\nb\n"), "  ");
    }
}
