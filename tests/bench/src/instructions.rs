//! `cargo xtask instructions`: counts the instructions that a call of a hook takes in process, host and
//! plugin together.
//!
//! Callgrind executes the program on a simulated processor and counts. Nothing is timed, so a busy machine
//! makes no difference, and two runs of one build give the same figures. Another processor changes them a
//! little, because functions of the C library and of the WebAssembly compiler choose their instructions by
//! it, and so does another compiler.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::command;
use anyhow::{Context, Error, Result, ensure};
use pace_kit::{Profile, root};
use serde::{Deserialize, Serialize};

/// The file with the recorded figures.
const RECORDED: &str = "tests/bench/instructions.toml";

/// The most that a call may take of its recorded figure: differences between processors are smaller.
const MOST_PERCENT: f64 = 105.0;

/// The least that a call may take without a remark: a saving should be recorded, so that it is not lost again
/// unnoticed.
const LEAST_PERCENT: f64 = 95.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The profile of the program; the figures of each profile are recorded apart
    #[arg(long, value_name = "PROFILE", default_value_t = Profile::dev())]
    profile: Profile,

    /// Record the counted figures instead of comparing them
    #[arg(long)]
    bless: bool,

    /// Print the programs to build, and do nothing else
    #[arg(long, hide = true)]
    needs: bool,
}

/// Counts, prints the table, and compares with the recorded figures.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.needs {
        println!("{}", args.profile.need("pace-harness", "--example hook_calls"));
        return Ok(());
    }
    let program = args.profile.program("examples/hook_calls").map_err(Error::msg)?;
    let counted = count(&program)?;
    let path = root().join(RECORDED);
    let mut recorded = Recorded::read(&path)?;
    let profile = args.profile.name();
    let figures = Figures {
        compiler: compiler()?,
        instructions: counted,
    };
    if args.bless {
        println!("{}", figures.table(None));
        recorded.0.insert(profile.to_owned(), figures);
        return recorded.write(&path);
    }
    let before = recorded.0.get(profile);
    println!("{}", figures.table(before));
    let bless = format!("cargo xtask instructions --profile {profile} --bless");
    match before {
        None => {
            println!("Nothing is recorded for this profile. To record it: {bless}");
            Ok(())
        }
        Some(before) if before.compiler != figures.compiler => {
            println!(
                "Not judged: the figures are of {}, and this is {}. To record new ones: {bless}",
                before.compiler, figures.compiler
            );
            Ok(())
        }
        Some(before) => figures.judge(before, &bless),
    }
}

/// The figures of one profile.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    compiler: String,
    /// The instructions of one call, by its name.
    instructions: BTreeMap<String, u64>,
}

impl Figures {
    fn table(&self, recorded: Option<&Figures>) -> String {
        let mut table = "| call | instructions | recorded | change |\n|---|---:|---:|---:|\n".to_owned();
        for (name, now) in &self.instructions {
            let before = recorded.and_then(|recorded| recorded.instructions.get(name));
            let line = match before {
                Some(before) => format!("| {name} | {now} | {before} | {:+.1} % |", change(*before, *now)),
                None => format!("| {name} | {now} | | |"),
            };
            writeln!(table, "{line}").expect("a String takes every write");
        }
        table
    }

    /// Fails if a call takes more than it may, or if the set of calls has changed; reports a call that takes
    /// much less.
    fn judge(&self, recorded: &Figures, bless: &str) -> Result<()> {
        let names = |figures: &Figures| figures.instructions.keys().cloned().collect::<Vec<_>>();
        ensure!(
            names(self) == names(recorded),
            "{RECORDED} has other calls than were counted; to record these:\n\n    {bless}\n"
        );
        let of = |wanted: fn(f64) -> bool| {
            let all = self.instructions.iter();
            let found = all.filter(|(name, now)| wanted(100.0 + change(recorded.instructions[*name], **now)));
            found
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (more, less) = (
            of(|percent| percent > MOST_PERCENT),
            of(|percent| percent < LEAST_PERCENT),
        );
        ensure!(
            more.is_empty(),
            "more instructions than recorded in {RECORDED}, by over {:.0} %: {more}. Find out why; if that is the \
             price of something wanted, record it:\n\n    {bless}\n",
            MOST_PERCENT - 100.0
        );
        if !less.is_empty() {
            println!("Clearly fewer instructions than recorded: {less}. So that it stays like that: {bless}");
        }
        Ok(())
    }
}

/// The change in percent.
fn change(before: u64, now: u64) -> f64 {
    (now as f64 / before.max(1) as f64 - 1.0) * 100.0
}

/// The recorded figures by profile.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
struct Recorded(BTreeMap<String, Figures>);

impl Recorded {
    fn read(path: &Path) -> Result<Recorded> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} cannot be read", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = format!(
            "# Instructions that one call of a hook takes in process, host and plugin together.\n\
             # Written by: cargo xtask instructions --bless\n\n{}",
            toml::to_string(self)?
        );
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Counts the instructions of each call, by the call's name.
fn count(program: &Path) -> Result<BTreeMap<String, u64>> {
    let directory = tempfile::tempdir()?;
    let out = directory.path().join("callgrind");
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        // The example has functions for this: callgrind counts within the first, and writes the sum when the
        // second returns.
        .args(["--toggle-collect=*measured_calls*", "--dump-after=*all_counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program);
    let printed = String::from_utf8(command::output(&mut command)?).context("the example prints text")?;
    let measured = printed.lines().map(measured).collect::<Option<Vec<_>>>();
    let measured = measured.filter(|measured| !measured.is_empty());
    let measured = measured.with_context(|| format!("the example has printed {printed:?}"))?;
    let counts = measured.into_iter().enumerate().map(|(place, (calls, name))| {
        let file = PathBuf::from(format!("{}.{}", out.display(), place + 1));
        let text = fs::read_to_string(&file).with_context(|| format!("callgrind did not count {name}"))?;
        let total = total(&text).with_context(|| format!("callgrind has counted nothing of {name}"))?;
        Ok((name.to_owned(), total / calls))
    });
    counts.collect()
}

/// Reads a line of the example: the number of calls, and their name.
fn measured(line: &str) -> Option<(u64, &str)> {
    let (calls, name) = line.split_once(' ')?;
    let calls = calls.parse().ok().filter(|calls| *calls > 0)?;
    Some((calls, name))
}

/// The sum of all instructions in a file of callgrind's, if it has any.
fn total(text: &str) -> Option<u64> {
    let summary = text.lines().find_map(|line| line.strip_prefix("summary: "))?;
    summary.trim().parse().ok().filter(|total| *total > 0)
}

/// The compiler's version. Figures can be compared only within one.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // The directory in which a `rust-toolchain.toml` would be looked for.
    let version = command::output(Command::new(rustc).arg("--version").current_dir(root()))?;
    let version = String::from_utf8(version)?;
    Ok(format!("{} for {}", version.trim(), std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: &[(&str, u64)]) -> Figures {
        Figures {
            compiler: "rustc 1.95.0".to_owned(),
            instructions: instructions
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn output_of_callgrind_and_example_is_read() {
        assert_eq!(measured("400 all four"), Some((400, "all four")));
        assert_eq!(measured("0 all four"), None);
        assert_eq!(measured("four"), None);
        assert_eq!(
            total("version: 1\nevents: Ir\nsummary: 6385088\n\ntotals: 7\n"),
            Some(6_385_088)
        );
        assert_eq!(total("events: Ir\nsummary: 0\n"), None);
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn call_above_the_tolerance_is_an_error_with_its_name() {
        let recorded = figures(&[("a", 1000), ("b", 1000)]);
        figures(&[("a", 1050), ("b", 10)])
            .judge(&recorded, "bless")
            .expect("5 % and less are accepted");
        let error = figures(&[("a", 1000), ("b", 1051)])
            .judge(&recorded, "bless")
            .unwrap_err();
        let message = error.to_string();
        assert!(message.contains("by over 5 %: b. "), "{message}");
        assert!(message.ends_with("\n\n    bless\n"), "{message}");
        assert!(
            figures(&[("a", 1000)]).judge(&recorded, "bless").is_err(),
            "one is missing"
        );
    }

    #[test]
    fn table_shows_changes() {
        let now = figures(&[("a", 990), ("new", 7)]);
        assert_eq!(
            now.table(Some(&figures(&[("a", 1000)]))),
            "| call | instructions | recorded | change |\n|---|---:|---:|---:|\n\
             | a | 990 | 1000 | -1.0 % |\n| new | 7 | | |\n"
        );
    }

    #[test]
    fn recorded_figures_are_read_back() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("instructions.toml");
        assert_eq!(Recorded::read(&path).expect("there is none"), Recorded::default());
        let recorded = Recorded(BTreeMap::from([("dev".to_owned(), figures(&[("all four", 4)]))]));
        recorded.write(&path).expect("there is room");
        assert_eq!(Recorded::read(&path).expect("it is there"), recorded);
    }
}
