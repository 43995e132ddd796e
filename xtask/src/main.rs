//! What one types in this repository: `cargo xtask run`, `test`, `bench`, `languages`, `instructions`, `soak` and
//! `plugins`.
//!
//! | module | what it does |
//! |---|---|
//! | `prerequisites` | what must be on the machine, and how it gets there |
//! | `toolchain` | a Rust that compiles to WebAssembly |
//! | `plugins` | the plugins, from crate to component |
//! | `run`, `demo` | a proxy to try, and the backends behind it |
//! | `test` | every check, in order |
//! | `bench` | what a request costs, beside other proxies |
//! | `languages` | what a plugin costs in each language |
//! | `instructions` | how many instructions a call of a hook takes |
//! | `soak` | whether anything is lost while plugins are swapped under load |
//! | `http` | messages, as small servers and clients of our own read them |
//! | `cargo`, `process` | other programs: how they are called, watched and ended |

mod bench;
mod cargo;
mod demo;
mod http;
mod instructions;
mod languages;
mod plugins;
mod prerequisites;
mod process;
mod run;
mod soak;
mod test;
mod toolchain;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Set-up, tests and benchmarks of Pace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start Pace in front of two demo backends, and say what to try
    ///
    /// Installs what is missing, compiles the plugins and the proxy, and starts all of it: backends
    /// on 127.0.0.1:8000 and :8001, Pace with config/proxy.toml. Ctrl-C stops everything.
    Run(run::Args),

    /// Check everything: format, lints, tests, a short soak, instructions, dependencies
    ///
    /// Installs what is missing and compiles the plugins first. Stops at the first step that fails
    /// and says how to repeat that step alone.
    Test(test::Args),

    /// Measure what a request costs in Pace, beside bare Pingora, nginx and HAProxy
    ///
    /// Proxies take turns on one core; load and backends are on another. Prints Markdown tables. nginx and HAProxy
    /// are measured if they are installed. docs/performance.md says how it is measured and what came of it.
    Bench(bench::Args),

    /// Measure what a plugin costs in each language that `pace plugin new` knows
    ///
    /// Makes a project in each, builds it and measures its plugin: size, start-up, a call, memory. Needs what building
    /// takes, Node and Python among it, and the network, from where their tools come. Prints the table of
    /// docs/plugins.md.
    Languages(languages::Args),

    /// Count the instructions of each call of a hook, and compare them with those recorded
    ///
    /// In process, host and plugin together, for the default plugins. Nothing is timed: callgrind counts, so the
    /// machine may be busy. Installs valgrind if it is missing. Prints a Markdown table; fails if a call takes 5 %
    /// more than is recorded in xtask/instructions.toml by the same compiler.
    Instructions(instructions::Args),

    /// Swap plugins under load, and see whether anything is lost
    ///
    /// Good and bad files, by every way of replacing one, while clients ask for 70 % of what the machine
    /// can do and other plugins misbehave. Prints a Markdown table; fails if a request was lost, doubled
    /// or served by a mixture of versions, if a limit was not exact, if a bad file was taken or not all kinds
    /// were tried, or if files, sockets or memory leaked. A run shorter than a minute does not judge what
    /// needs time: the kinds of bad files and memory.
    Soak(soak::Args),

    /// Compile the plugins to WebAssembly components
    ///
    /// The default plugins go to target/plugins/NAME.wasm, from where `pace` embeds them, those of the cookbook
    /// to target/plugins/cookbook/NAME.wasm, and the misbehaving ones of the tests to
    /// target/plugins/fixtures/NAME.wasm.
    Plugins,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(args) => run::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Languages(args) => languages::run(&args),
        Task::Instructions(args) => instructions::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Plugins => prerequisites::ensure().and_then(|()| plugins::build(plugins::Which::All)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
