//! The programs that builds run.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use super::BuildError;
use super::reproducible::{self, Settings};

/// A program or library that a build needs, and how to install it.
pub(super) struct Tool {
    /// The usual name.
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    /// Arguments with which the program succeeds if it is usable.
    pub(super) probe: &'static [&'static str],
    /// The oldest sufficient version, if the probe prints one.
    pub(super) at_least: Option<Version>,
    pub(super) language: &'static str,
    pub(super) remedy: &'static str,
}

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(super) u32, pub(super) u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Tool {
    /// A command of the program, if it exists, can be started and is new enough.
    pub(super) fn command(&self, project: &Path) -> Result<Command, BuildError> {
        self.check()?;
        let mut command = Command::new(self.program);
        command.current_dir(project);
        Ok(command)
    }

    /// Checks that the program exists and is new enough.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let missing = |why: String| BuildError::Missing {
            what: self.name,
            language: self.language,
            why,
            remedy: self.remedy,
        };
        let mut probe = Command::new(self.program);
        probe.args(self.probe).stdin(Stdio::null());
        let output = probe
            .output()
            .map_err(|error| missing(format!("{}: {error}", self.program)))?;
        if !output.status.success() {
            return Err(missing(format!("{}: {}", shown(&probe), complaint(&output))));
        }
        let Some(at_least) = self.at_least else {
            return Ok(());
        };
        let said = String::from_utf8_lossy(&output.stdout);
        match version(&said) {
            Some(found) if found >= at_least => Ok(()),
            Some(_) => Err(BuildError::TooOld {
                what: self.name,
                language: self.language,
                at_least,
                found: said.trim().to_owned(),
                remedy: self.remedy,
            }),
            None => Err(missing(format!("{} says no version", shown(&probe)))),
        }
    }
}

/// Runs a program to its end. Its output goes to standard error, because standard output is Pace's.
pub(super) fn run(command: &mut Command) -> Result<(), BuildError> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    done(command, status)
}

/// Runs a program whose output depends on random numbers, files and the time, and gives it the same ones each time, where that is
/// possible.
pub(super) fn run_reproducibly(command: impl Fn() -> Command, settings: Settings) -> Result<(), BuildError> {
    let mut traced = command();
    traced.stdin(Stdio::null()).stdout(io::stderr());
    match reproducible::status(traced, settings) {
        Ok(status) => done(&command(), Ok(status)),
        Err(why_not) => {
            run(&mut command())?;
            eprintln!("The next build will give other bytes, because {why_not}.");
            Ok(())
        }
    }
}

fn done(command: &Command, status: io::Result<ExitStatus>) -> Result<(), BuildError> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(BuildError::Failed(shown(command))),
        Err(source) => Err(BuildError::CannotStart {
            command: shown(command),
            source,
        }),
    }
}

/// A command as typed, with as many words as identify it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.take(4).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

/// Why a program failed: its first line with `error:`, else its last line, else its exit status.
fn complaint(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .find(|line| line.contains("error:"))
        .or_else(|| lines().next_back());
    line.map_or_else(|| output.status.to_string(), str::to_owned)
}

/// The first version in a text, as in `Python 3.11.7` or `v20.1.0`.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map_while(|digits| digits.parse().ok());
    Some(Version(numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_found_in_the_output_of_programs() {
        assert_eq!(version("v20.20.2\n"), Some(Version(20, 20)));
        assert_eq!(version("Python 3.9.18"), Some(Version(3, 9)));
        assert_eq!(version("usage: node [options]"), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version(3, 9) < Version(3, 10));
        assert!(Version(18, 99) < Version(20, 0));
    }
}
