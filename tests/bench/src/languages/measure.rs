//! Makes a project in each language, and has Pace measure its plugin.

use super::figures::{Figure, Language};
use crate::command;
use crate::statistics::median;
use anyhow::{Context, Result};
use pace_kit::root;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Calls of one instance that is kept.
const CALLS: u32 = 10_000;

/// Calls of instances that live for one call.
const INSTANCES: u32 = 1000;

/// Calls after which JavaScript's collector has not yet let the memory grow.
const FEW_CALLS: u32 = 100;

/// Calls after which it has.
const MANY_CALLS: u32 = 30_000;

/// The directory in which projects are made, and the Pace that makes and measures them.
pub(crate) struct Workshop {
    pace: PathBuf,
    place: PathBuf,
}

/// The figures of a hook in the output of `pace plugin bench --json`.
#[derive(Deserialize)]
struct Hook {
    median_ns: f64,
    memory_bytes: Option<f64>,
}

#[derive(Deserialize)]
struct Bench {
    hooks: Vec<Hook>,
}

impl Workshop {
    pub(crate) fn open(pace: PathBuf) -> Result<Workshop> {
        // The path is always the same, because cargo keeps its builds by the path of the project.
        let place = root().join("target/projects/languages");
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        Ok(Workshop { pace, place })
    }

    /// Creates a project, builds it, and measures its plugin: each figure `rounds` times.
    pub(crate) fn measure(&self, language: Language, rounds: u32) -> Result<Figure> {
        let key = language.key();
        let project = self.place.join(key);
        command::run(self.pace(&self.place).args(["plugin", "new", key, "--lang", key]))?;
        let target = root().join("target/wasm");
        command::run(
            self.pace(&project)
                .args(["plugin", "build"])
                .env("CARGO_TARGET_DIR", target),
        )?;
        let medians = |one: &dyn Fn() -> Result<f64>| -> Result<f64> {
            Ok(median((0..rounds).map(|_| one()).collect::<Result<Vec<_>>>()?))
        };
        let (kept, single) = (cases(language, "worker"), cases(language, "request"));
        let call = medians(&|| Ok(self.bench(&project, &kept, CALLS)?.median_ns / 1e3))?;
        let single = medians(&|| Ok(self.bench(&project, &single, INSTANCES)?.median_ns / 1e3))?;
        let memory = |calls| {
            medians(&|| {
                let memory = self.bench(&project, &kept, calls)?.memory_bytes;
                Ok(memory.context("an instance that is kept has memory")? / 1_048_576.0)
            })
        };
        let grows = language == Language::Js;
        let cache = project.join("cache");
        Ok(Figure {
            tool: tool(language, &project)?,
            // `pace plugin build` rounds up in its message, too.
            size_kib: fs::metadata(project.join("plugin.wasm"))?.len().div_ceil(1024) as f64,
            check_seconds: medians(&|| self.check(&project, language, None))?,
            cached_check_seconds: medians(&|| {
                if cache.exists() {
                    fs::remove_dir_all(&cache)?;
                }
                self.check(&project, language, Some(&cache))?;
                self.check(&project, language, Some(&cache))
            })?,
            instance_microseconds: (single - call).max(0.0),
            call_microseconds: call,
            memory_mib: memory(if grows { FEW_CALLS } else { CALLS })?,
            later_memory_mib: grows.then(|| memory(MANY_CALLS)).transpose()?,
        })
    }

    fn pace(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.pace);
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    /// Measures calls of the plugin's only hook.
    fn bench(&self, project: &Path, cases: &str, calls: u32) -> Result<Hook> {
        fs::write(project.join("measured.toml"), cases)?;
        let mut command = self.pace(project);
        command.args([
            "plugin",
            "bench",
            "measured.toml",
            "--json",
            "--calls",
            &calls.to_string(),
        ]);
        let output = command::output(&mut command)?;
        let bench: Bench =
            serde_json::from_slice(&output).context("`pace plugin bench --json` prints JSON")?;
        bench.hooks.into_iter().next().context("the plugin has a hook")
    }

    /// The time that `pace check` takes with this plugin alone, in seconds.
    fn check(&self, project: &Path, language: Language, cache: Option<&Path>) -> Result<f64> {
        let cache = cache.map_or(String::new(), |cache| format!("cache_dir = {cache:?}\n"));
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{cache}\n\
             [[plugins]]\nname = \"measured\"\nwasm = \"plugin.wasm\"\n{}config = {CONFIG}\n\n\
             [[pools]]\nname = \"web\"\nbackends = [\"127.0.0.1:1\"]\n\n\
             [[routes]]\npool = \"web\"\nplugins = [\"measured\"]\n",
            limits(language)
        );
        fs::write(project.join("measured-pace.toml"), config)?;
        let begin = Instant::now();
        command::output(
            self.pace(project)
                .args(["check", "--config", "measured-pace.toml"]),
        )?;
        Ok(begin.elapsed().max(Duration::from_nanos(1)).as_secs_f64())
    }
}

/// A configuration with one known key, and a limit above the number of calls.
const CONFIG: &str = "{ keys = { ann = \"the key of ann\" }, requests = 1_000_000, seconds = 60 }";

fn cases(language: Language, isolation: &str) -> String {
    format!(
        "wasm = \"plugin.wasm\"\n[budget]\n[defaults]\nisolation = {isolation:?}\nconfig = {CONFIG}\n{}\
         request.headers.x-api-key = \"the key of ann\"\n",
        limits(language)
    )
}

/// Limits above the needs of a language with a runtime, so that no instance is replaced while it is measured.
fn limits(language: Language) -> &'static str {
    match language.has_runtime() {
        true => "limits = { time_ms = 1000, memory_mb = 128 }\n",
        false => "",
    }
}

/// The tool that makes the component, with its version.
fn tool(language: Language, project: &Path) -> Result<String> {
    let said = |program: &Path| -> Result<String> {
        let output = command::output(Command::new(program).arg("--version"))?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    };
    let version = match language {
        Language::Rust => said(Path::new("rustc"))?,
        Language::C => said(Path::new("clang"))?,
        Language::Js => {
            fs::read_to_string(project.join("node_modules/@bytecodealliance/componentize-js/package.json"))?
        }
        Language::Python => said(&project.join(".venv/bin/componentize-py"))?,
    };
    let name = match language {
        Language::Rust => "Rust",
        Language::C => "clang",
        Language::Js => "componentize-js",
        Language::Python => "componentize-py",
    };
    let version = match language {
        Language::Js => serde_json::from_str::<serde_json::Value>(&version)?["version"]
            .as_str()
            .map(str::to_owned),
        Language::Rust | Language::C | Language::Python => number(&version).map(str::to_owned),
    };
    Ok(format!("{name} {}", version.context("it has a version")?))
}

/// The first word that is a version: the output of `clang` begins with the system that it is packaged for.
fn number(said: &str) -> Option<&str> {
    said.split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_found_in_output_of_tools() {
        assert_eq!(number("Debian clang version 14.0.6\nTarget: x"), Some("14.0.6"));
        assert_eq!(number("rustc 1.95.0 (59807616e 2026-04-14)"), Some("1.95.0"));
        assert_eq!(number("clang"), None);
    }
}
