//! Soak and bench: programs beside the tests, which are built when they are called.
//!
//! The typed arguments go to the tool as they are. Before anything else is built the tool is asked for its
//! needs, so a wrong argument is reported at once.

use crate::cargo::Profile;
use crate::plugins::{self, Which};
use crate::{cargo, prerequisites, process};
use anyhow::Result;
use std::process::{Command, Stdio};

/// A command of this program that another program carries out.
pub(crate) struct Tool {
    package: &'static str,
    /// The tool's own command, which precedes the typed arguments if it has several.
    command: Option<&'static str>,
    /// Installs the programs that the tool calls, in addition to those for compiling.
    install: fn() -> Result<()>,
}

pub(crate) const SOAK: Tool = Tool {
    package: "pace-soak",
    command: None,
    install: || Ok(()),
};
pub(crate) const BENCH: Tool = Tool {
    package: "pace-bench",
    command: Some("bench"),
    install: || Ok(()),
};
pub(crate) const LANGUAGES: Tool = Tool {
    command: Some("languages"),
    ..BENCH
};
pub(crate) const INSTRUCTIONS: Tool = Tool {
    command: Some("instructions"),
    install: prerequisites::valgrind,
    ..BENCH
};

/// The arguments typed after the command.
#[derive(clap::Args)]
pub(crate) struct Typed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<String>,
}

impl Typed {
    /// Makes arguments from a line.
    pub(crate) fn new(line: &str) -> Typed {
        Typed {
            arguments: line.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn asks_for_help(&self) -> bool {
        self.arguments.iter().any(|word| word == "--help" || word == "-h")
    }
}

impl Tool {
    /// Builds the tool and what it needs, and runs it.
    pub(crate) fn call(&self, typed: &Typed) -> Result<()> {
        prerequisites::ensure()?;
        let program = cargo::build_tool(self.package)?;
        let tool = || {
            let mut tool = cargo::program_of_another_package(&program);
            tool.args(self.command)
                .args(&typed.arguments)
                .stdin(Stdio::null());
            tool
        };
        if !typed.asks_for_help() {
            build_needed(tool().arg("--needs"))?;
            (self.install)()?;
        }
        process::run(&mut tool())
    }
}

/// Builds a tool's needs. The tool prints a line for each program, with the arguments that `cargo build`
/// takes.
fn build_needed(asked: &mut Command) -> Result<()> {
    let needed = process::output(asked)?;
    if needed.is_empty() {
        return Ok(());
    }
    plugins::build(Which::All, Profile::Dev)?;
    for line in needed.lines() {
        cargo::build(&line.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_option_is_found_in_either_spelling() {
        assert!(Typed::new("--seconds 5 --help").asks_for_help());
        assert!(Typed::new("-h").asks_for_help());
        assert!(!Typed::new("--seconds 5").asks_for_help());
    }
}
