//! `pace plugin`: the commands for plugin authors.
//!
//! | file | what it does |
//! |---|---|
//! | `cli` | the arguments of the commands |
//! | `bench` | measures the cost of each hook |
//! | `new`, `language` | creates a project |
//! | `build` | compiles a project to a component |
//! | `project` | finds a component's project, and its cases |
//! | `inspect` | describes a file |
//! | `test`, `cases` | runs declarative cases |
//! | `run` | serves with a plugin under development |

mod bench;
mod build;
mod cases;
mod cli;
mod inspect;
mod language;
mod new;
mod project;
mod run;
mod test;

use std::io::{self, Write};

use pace_base::escape::Lines;

pub use cli::{CommandError, PluginCommand};
pub use language::Language;
pub use run::{BuildFailed, log_for_run};

/// Runs a command.
///
/// # Errors
///
/// The command failed, or the plugin did not pass: the text is for the person who typed it.
pub fn run(command: &PluginCommand) -> Result<(), CommandError> {
    match command {
        PluginCommand::Bench(args) => bench::run(args),
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(args),
        PluginCommand::Inspect(args) => inspect::run(args),
        PluginCommand::Run(args) => run::run(args),
        PluginCommand::Test(args) => test::run(args),
    }
}

/// Prints a text, which may have names from a plugin's file in it.
///
/// # Errors
///
/// Standard output fails, for another reason than a closed pipe, as in `pace check | head -1`.
pub fn print(text: &str) -> io::Result<()> {
    let text = Lines(text).to_string();
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
