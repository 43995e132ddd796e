//! `pace plugin`: what those who write plugins need.
//!
//! | file | what it does |
//! |---|---|
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
mod inspect;
mod language;
mod new;
mod project;
mod run;
mod test;

use std::error::Error;
use std::io::{self, Write};

use crate::cli::PluginCommand;

pub use language::Language;
pub use run::{DEFAULT_LOG, prepare_log};

/// Does what the command line asks for.
///
/// # Errors
///
/// It could not be done, or what was looked at is not as it should be: the text is for whoever typed it.
pub fn run(command: &PluginCommand) -> Result<(), Box<dyn Error>> {
    match command {
        PluginCommand::Bench(args) => bench::run(args),
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(args),
        PluginCommand::Inspect(args) => inspect::run(args),
        PluginCommand::Run(args) => run::run(args),
        PluginCommand::Test(args) => test::run(args),
    }
}

/// Who reads this may have seen enough: `pace plugin inspect FILE | head -1`.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
