//! `cargo xtask bench`, `languages` and `instructions`: measures the costs of requests and plugins.
//!
//! | module | what it does |
//! |---|---|
//! | `proxies` | measures the cost of a request in Pace, beside other proxies |
//! | `languages` | measures the cost of a plugin in each language |
//! | `instructions` | counts the instructions of each call of a hook |
//! | `command`, `machine`, `places`, `statistics` | parts that all of them use |
//!
//! `cargo xtask` builds the measured programs beforehand, and they are found beside this one.

mod command;
mod instructions;
mod languages;
mod machine;
mod places;
mod proxies;
mod statistics;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures the costs of Pace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure the cost of a request in Pace, beside bare Pingora, nginx and HAProxy
    ///
    /// Proxies take turns on one core; load and backends are on another. Prints Markdown tables. nginx and HAProxy
    /// are measured if they are installed. docs/performance.md describes the method and the results.
    Bench(proxies::Args),

    /// Measure the cost of a plugin in each language that `pace plugin new` knows
    ///
    /// Makes a project in each, builds it and measures its plugin: size, start-up, a call, memory. Needs the tools
    /// for building, including Node and Python, and the network, from which they come. Prints the table of
    /// docs/plugins.md.
    Languages(languages::Args),

    /// Count the instructions of each call of a hook, and compare them with the recorded figures
    ///
    /// Host and plugin are counted together, in process, for the default plugins. Nothing is timed: callgrind counts,
    /// so the machine may be busy. Prints a Markdown table; fails if a call takes 5 % more than recorded in
    /// tests/bench/instructions.toml for the same compiler.
    Instructions(instructions::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Bench(args) => proxies::run(&args),
        Task::Languages(args) => languages::run(&args),
        Task::Instructions(args) => instructions::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
