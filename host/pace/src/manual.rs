//! Manual pages and completions, made from the command line itself.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use pace_author::CommandError;

use crate::cli::Cli;

/// Prints the script with which a shell completes commands and options.
pub(crate) fn print_completions(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pace", &mut script);
    Ok(pace_author::print(&String::from_utf8(script)?)?)
}

/// Writes a page for `pace` and for each of its commands: `pace.1`, `pace-check.1` and so on.
pub(crate) fn write_pages(directory: &Path) -> Result<(), CommandError> {
    // The pages of `pace help …` would say what the others say.
    let mut command = Cli::command().disable_help_subcommand(true);
    // Commands learn their full names from the one above.
    command.build();
    clap_mangen::generate_to(command, directory).map_err(|error| {
        format!(
            "cannot write the manual pages into {}: {error}",
            directory.display()
        )
    })?;
    Ok(())
}
