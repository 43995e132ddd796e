//! Programs that a build takes.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::BuildError;

/// Something that has to be on the machine, and how it gets there.
pub(super) struct Tool {
    /// As people call it.
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    /// What the program is asked, and does not fail to answer if it is there.
    pub(super) probe: &'static [&'static str],
    /// The oldest version that will do, if the answer is one.
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
    /// A command of its program, if it is there, can be started and is new enough.
    pub(super) fn command(&self, project: &Path) -> Result<Command, BuildError> {
        self.check()?;
        let mut command = Command::new(self.program);
        command.current_dir(project);
        Ok(command)
    }

    /// Whether it is there.
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

/// Runs a program to its end. What it says goes to standard error, because what Pace says is on standard output.
pub(super) fn run(command: &mut Command) -> Result<(), BuildError> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| BuildError::CannotStart {
            command: shown(command),
            source,
        })?;
    // Nobody who cannot read it has to.
    let _ = std::io::stderr().write_all(&output.stdout);
    match output.status.success() {
        true => Ok(()),
        false => Err(BuildError::Failed(shown(command))),
    }
}

/// A command as one would type it, as far as it says which it is.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.take(4).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

/// Why a program failed: the line that it marks as an error, else its last, else how it ended.
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
    fn a_version_is_found_in_what_programs_say() {
        assert_eq!(version("v20.20.2\n"), Some(Version(20, 20)));
        assert_eq!(version("Python 3.9.18"), Some(Version(3, 9)));
        assert_eq!(version("usage: node [options]"), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(Version(3, 9) < Version(3, 10));
        assert!(Version(18, 99) < Version(20, 0));
    }
}
