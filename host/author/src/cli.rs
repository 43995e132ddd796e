//! The command line of `pace plugin`.

use std::error::Error;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use pace_hook::Hook;

use crate::Language;

/// An error that ends a command, as its message.
pub type CommandError = Box<dyn Error + Send + Sync>;

/// The commands for plugin authors.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Begin a plugin: a small project that builds at once, with a test
    New(NewArgs),
    /// Build plugin.wasm from a project, and check it
    Build(BuildArgs),
    /// Describe a file: its hooks, imports and version of the contract, and the reason if it cannot be used
    Inspect(InspectArgs),
    /// Run the cases beside a plugin against its file, without a network
    Test(TestArgs),
    /// Measure the cost of each hook, and compare it with the budget
    Bench(BenchArgs),
    /// Serve with one plugin, which is built and swapped each time a source is saved, and print for each request the
    /// result and duration of every hook
    Run(RunArgs),
}

/// The arguments of `pace plugin new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The name of the plugin, and of the directory that is made
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The language
    #[arg(long, value_name = "LANGUAGE", value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// A hook that the plugin exports [default: request-filter]; may be repeated
    #[arg(long = "hook", value_name = "HOOK", value_parser = hook())]
    pub hooks: Vec<Hook>,
}

/// A hook, by its name in the contract.
fn hook() -> impl TypedValueParser<Value = Hook> {
    let names = Hook::ALL.map(|hook| PossibleValue::new(hook.name()).help(hook.about()));
    PossibleValuesParser::new(names)
        .try_map(|name| Hook::named(&name).ok_or_else(|| format!("there is no hook `{name}`")))
}

/// The arguments of `pace plugin build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The directory of the project
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

/// The arguments of `pace plugin inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A component, a core module that carries its component type, builtin:NAME, or a project, whose plugin.wasm it is
    #[arg(value_name = "FILE", default_value = ".")]
    pub file: String,
    /// Measure with the `[defaults]` of this file of cases (TOML) [default: the file beside the plugin.wasm of a
    /// project]
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
}

/// The arguments of `pace plugin test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// A file of cases (TOML), or a directory whose tests/*.toml are such files
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Run the cases against this plugin, a file or builtin:NAME, in place of the one that they name
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<String>,
    /// Only cases with this text in their names
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print the places and names of the cases, and run nothing
    #[arg(long)]
    pub list: bool,
}

/// The arguments of `pace plugin bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A plugin (a file or builtin:NAME), a file of cases (TOML) with its plugin, `[defaults]` and `[budget]`, or a project, whose
    /// cases it takes
    #[arg(value_name = "FILE", default_value = ".")]
    pub file: String,
    /// Measure this plugin in place of the one that the file of cases names
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<String>,
    /// The number of calls of each hook
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub calls: u32,
    /// Count instructions too, as wasmtime's fuel: 1 for each, 0 for nop, drop, block and loop. A budget of
    /// instructions counts them without this option
    #[arg(long)]
    pub fuel: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `pace plugin run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A line for each request goes to standard error: when, what was asked for, each hook with what it said and how long that \
took, and the status. What else happens is there too: a version that serves, one that is not taken, a failure with its \
backtrace, and what the plugin logs, from level debug on.\n\
Whatever is saved in the project and is not a result of building it is a source. Ctrl-C ends everything.")]
pub struct RunArgs {
    /// A project, which is built first; a plugin (a file or builtin:NAME); or a file of cases (TOML) with its plugin and
    /// `[defaults]`
    #[arg(value_name = "FILE", default_value = ".")]
    pub file: String,
    /// A backend such as http://127.0.0.1:8000; may be repeated
    #[arg(short, long = "backend", value_name = "URL", required = true)]
    pub backends: Vec<String>,
    /// The address where clients connect
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// A key of the plugin's configuration, such as 'keys.ann = "secret"'; may be repeated, and wins over
    /// `[defaults] config` of the project's cases
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A file with the address that exists while Pace serves
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}
