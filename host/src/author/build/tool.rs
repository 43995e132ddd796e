//! Programs that a build takes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::BuildError;

/// A program that has to be on the machine, and how it gets there.
pub(super) struct Tool {
    pub(super) program: &'static str,
    /// What makes it say its version.
    pub(super) version: &'static str,
    pub(super) language: &'static str,
    pub(super) remedy: &'static str,
}

impl Tool {
    /// A command of it, if it is there and can be started.
    pub(super) fn command(&self, project: &Path) -> Result<Command, BuildError> {
        let missing = |why: String| BuildError::Missing {
            what: self.program,
            language: self.language,
            why,
            remedy: self.remedy,
        };
        let mut probe = Command::new(self.program);
        probe.arg(self.version).stdin(Stdio::null());
        match probe.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                return Err(missing(format!(
                    "`{} {}`: {}",
                    self.program, self.version, output.status
                )));
            }
            Err(error) => return Err(missing(error.to_string())),
        }
        let mut command = Command::new(self.program);
        command.current_dir(project);
        Ok(command)
    }
}

/// Runs a program to its end. What it says goes to standard error, because what Pace says is on standard output.
pub(super) fn run(command: &mut Command) -> Result<(), BuildError> {
    let shown = std::iter::once(command.get_program())
        .chain(command.get_args())
        .take(4)
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let failed = |_| BuildError::Failed(shown.clone());
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    // Nobody who cannot read it has to.
    let _ = std::io::stderr().write_all(&output.stdout);
    match output.status.success() {
        true => Ok(()),
        false => Err(BuildError::Failed(shown)),
    }
}
