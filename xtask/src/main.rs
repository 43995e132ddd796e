//! The commands of this repository: `cargo xtask run`, `test`, `bench`, `languages`, `instructions`, `soak`,
//! `package` and `plugins`. xtask finds tools, builds, and calls.
//!
//! | module | what it does |
//! |---|---|
//! | `prerequisites` | the tools that must be on the machine, and how they get there |
//! | `toolchain` | a Rust that compiles to WebAssembly |
//! | `plugins` | the plugins, from crate to component |
//! | `run`, `plan`, `demo` | a proxy to try, how long it takes to build, and the backends behind it |
//! | `package` | a package for Debian |
//! | `test` | every check, in order |
//! | `tools` | soak and bench, which lie beside the tests |
//! | `cargo`, `process` | other programs: how they are called, watched and ended |

mod cargo;
mod demo;
mod package;
mod plan;
mod plugins;
mod prerequisites;
mod process;
mod run;
mod test;
mod toolchain;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tools::{BENCH, INSTRUCTIONS, LANGUAGES, SOAK, Typed};

/// Set-up, tests and benchmarks of Pace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start Pace in front of two demo backends, and print what to try
    ///
    /// Installs missing tools, compiles the plugins and the proxy, and starts all of it: backends on 127.0.0.1:8000
    /// and :8001, Pace with config/proxy.toml. Ctrl-C stops everything.
    Run(run::Args),

    /// Check everything: format, lints, tests, a short soak, instructions, dependencies
    ///
    /// Installs missing tools and compiles the plugins first. Stops at the first step that fails and says how to
    /// repeat that step alone.
    Test(test::Args),

    /// Measure the cost of a request in Pace, beside bare Pingora, nginx and HAProxy
    #[command(disable_help_flag = true)]
    Bench(Typed),

    /// Measure the cost of a plugin in each language that `pace plugin new` knows
    #[command(disable_help_flag = true)]
    Languages(Typed),

    /// Count the instructions of each call of a hook, and compare them with the recorded figures
    ///
    /// Installs valgrind if it is missing.
    #[command(disable_help_flag = true)]
    Instructions(Typed),

    /// Swap plugins under load, and check that nothing is lost
    #[command(disable_help_flag = true)]
    Soak(Typed),

    /// Make a package for Debian, in target/debian
    ///
    /// Builds the program as users run it. Needs cargo-deb.
    Package,

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
        Task::Bench(typed) => BENCH.call(&typed),
        Task::Languages(typed) => LANGUAGES.call(&typed),
        Task::Instructions(typed) => INSTRUCTIONS.call(&typed),
        Task::Soak(typed) => SOAK.call(&typed),
        Task::Package => package::make(),
        Task::Plugins => {
            prerequisites::ensure().and_then(|()| plugins::build(plugins::Which::All, cargo::Profile::Dev))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
