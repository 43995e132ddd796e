//! `cargo xtask test`: everything that must hold before a change is accepted.

mod languages;

use crate::cargo::Profile;
use crate::plugins::{self, Which};
use crate::tools::{INSTRUCTIONS, SOAK, Typed};
use crate::{cargo, prerequisites, process};
use anyhow::{Result, bail};
use std::process::Stdio;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for `cargo test`, as in: cargo xtask test -- --package pace-tests reload
    #[arg(last = true)]
    cargo_test: Vec<String>,
}

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    step("prerequisites", "cargo xtask plugins", prerequisites::ensure)?;
    step("openssl", "openssl version", prerequisites::openssl)?;
    if let Err(error) = prerequisites::pebble() {
        println!("\n== pebble: without it the tests of ACME try nothing: {error:#}");
    }
    step("plugins", "cargo xtask plugins", || {
        plugins::build(Which::All, Profile::Dev)
    })?;
    cargo_step("format", words("fmt --all --check"))?;
    cargo_step(
        "clippy",
        words("clippy --workspace --all-targets --locked -- -D warnings"),
    )?;
    // Tests start the program itself, which `cargo test` would build only for tests of its own package. With the tests, and
    // not before them: then what both are made of has the same features, and is compiled once.
    let build = match args.cargo_test.is_empty() {
        true => "build --workspace --bins --tests --examples --locked",
        false => "build --workspace --bin pace --locked",
    };
    cargo_step("build", words(build))?;
    cargo_step("tests", test_command(&args.cargo_test))?;
    if args.cargo_test.is_empty() {
        other_languages()?;
    } else {
        println!("\n== languages: skipped, because only some tests were asked for");
    }
    if args.cargo_test.is_empty() {
        // Figures that depend on the machine as much as on the proxy are printed and not judged: memory and
        // latencies need the minute of `cargo xtask soak`, and an idle machine.
        let short = "--seconds 12 --profile dev";
        step("soak", &format!("cargo xtask soak {short}"), || {
            SOAK.call(&Typed::new(short))
        })?;
    } else {
        println!("\n== soak: skipped, because only some tests were asked for");
    }
    if args.cargo_test.is_empty() {
        match prerequisites::valgrind() {
            Ok(()) => step("instructions", "cargo xtask instructions", || {
                INSTRUCTIONS.call(&Typed::new(""))
            })?,
            Err(error) => println!("\n== instructions: skipped, because there is no valgrind: {error:#}"),
        }
    } else {
        println!("\n== instructions: skipped, because only some tests were asked for");
    }
    if process::works(cargo::cargo().args(["deny", "--version"])) {
        cargo_step("dependencies", words("deny check"))?;
    } else {
        println!("\n== dependencies: skipped, because cargo-deny is not installed");
    }
    println!("\nAll passed in {:.0} s.", start.elapsed().as_secs_f64());
    Ok(())
}

/// Builds plugins in C, JavaScript and Python, and has a client in Python talk to those of the cookbook, as far as
/// the tools are there or can be installed. The step is apart from the other tests, because compiling an engine keeps
/// all cores busy for a minute.
fn other_languages() -> Result<()> {
    let (ready, skipped) = languages::ready();
    for (language, error) in skipped {
        println!("\n== plugins in {language}: skipped, because {error:#}");
    }
    if ready.is_empty() {
        return Ok(());
    }
    let ready = ready.join(" ");
    // Those in Rust have run with the other tests.
    let arguments = "test --locked --workspace --test all -- \
                     plugin_new::languages cookbook::providers --skip new_rust_project";
    cargo_step_with("languages", words(arguments), &[(languages::CHOSEN, &ready)])
}

/// The arguments of the step that runs the tests.
fn test_command(extra: &[String]) -> Vec<&str> {
    let chosen = extra
        .iter()
        .any(|word| word.starts_with("--package") || word.starts_with("-p"));
    let scope = if chosen { None } else { Some("--workspace") };
    let words = ["test", "--locked"].into_iter().chain(scope);
    words.chain(extra.iter().map(String::as_str)).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn cargo_step(name: &str, arguments: Vec<&str>) -> Result<()> {
    cargo_step_with(name, arguments, &[])
}

/// Runs cargo with these variables, which are part of what repeats the step.
fn cargo_step_with(name: &str, arguments: Vec<&str>, variables: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo::cargo();
    command
        .args(&arguments)
        .stdin(Stdio::null())
        .envs(variables.iter().copied());
    let variables: String = variables
        .iter()
        .map(|(name, value)| format!("{name}='{value}' "))
        .collect();
    let repeat = format!("{variables}cargo {}", arguments.join(" "));
    step(name, &repeat, || process::run(&mut command))
}

/// Does one step, prints how long it took and, if it fails, how to `repeat` it alone.
fn step(name: &str, repeat: &str, action: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n== {name}: {repeat}");
    let start = Instant::now();
    let outcome = action();
    let seconds = start.elapsed().as_secs_f64();
    if let Err(error) = outcome {
        bail!("{error:#}\n\n{name} failed after {seconds:.1} s. To repeat it alone:\n\n    {repeat}\n");
    }
    println!("== {name}: passed in {seconds:.1} s");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_arguments_go_to_cargo_test() {
        let of = |extra: &[&str]| {
            let extra: Vec<String> = extra.iter().map(|word| word.to_string()).collect();
            test_command(&extra).join(" ")
        };
        assert_eq!(of(&[]), "test --locked --workspace");
        assert_eq!(of(&["reload"]), "test --locked --workspace reload");
        assert_eq!(
            of(&["-p", "pace"]),
            "test --locked -p pace",
            "a package is not widened to all"
        );
    }

    #[test]
    fn failing_step_says_how_to_repeat_it() {
        let error = step("format", "cargo fmt", || bail!("not formatted")).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.starts_with("not formatted\n"), "{message}");
        assert!(
            message.ends_with("To repeat it alone:\n\n    cargo fmt\n"),
            "{message}"
        );
    }
}
