//! Runs other programs to their end.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Runs a program and shows its output. Any end but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    ensure!(status.success(), "{} failed ({status})", display(command));
    Ok(())
}

/// Runs a program and returns its standard output. Any end but success is an error, with the output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| cannot_start(command))?;
    ensure!(
        output.status.success(),
        "{} failed ({}):\n{}",
        display(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", display(command))
}

/// The command as one would type it, its program without the directory.
fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
