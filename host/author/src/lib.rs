//! `pace plugin`: what those who write plugins need.
//!
//! | file | what it does |
//! |---|---|
//! | `cli` | the arguments |
//! | `bench` | says what each hook costs |
//! | `new`, `language` | begins a project |
//! | `build` | makes a component of it |
//! | `project` | finds it, and its cases, from the component |
//! | `inspect` | says what a file is |
//! | `test`, `cases` | runs declarative cases |
//! | `run` | serves with a plugin that is being written |

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
pub use run::{Told, log_for_run};

/// Does what the command line asks for.
///
/// # Errors
///
/// It could not be done, or what was looked at is not as it should be: the text is for whoever typed it.
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

/// Prints a text, in which names from a plugin's file may be.
///
/// # Errors
///
/// Standard output takes it not, for another reason than that who reads it has seen enough: `pace check | head -1`.
pub fn print(text: &str) -> io::Result<()> {
    let text = Lines(text).to_string();
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
