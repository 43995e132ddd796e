//! `pace plugin`: what those who write plugins need.
//!
//! | file | what it does |
//! |---|---|
//! | `inspect` | says what a file is |

mod inspect;

use std::error::Error;

use crate::cli::PluginCommand;

/// Does what the command line asks for.
///
/// # Errors
///
/// It could not be done, or what was looked at is not as it should be: the text is for whoever typed it.
pub fn run(command: &PluginCommand) -> Result<(), Box<dyn Error>> {
    match command {
        PluginCommand::Inspect(args) => inspect::run(args),
    }
}
