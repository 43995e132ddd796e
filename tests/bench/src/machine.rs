//! The machine, for the reader of figures.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::process::Command;

/// Where figures come from. Those of different machines cannot be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// What compiled the proxies.
    rustc: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Result<Machine> {
        let info = fs::read_to_string("/proc/cpuinfo")?;
        Ok(Machine {
            processor: model(&info).unwrap_or("unknown processor").to_owned(),
            cores: info.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: format!(
                "{} {}",
                kernel("ostype")?.trim(),
                release(kernel("osrelease")?.trim())
            ),
            rustc: version(Command::new("rustc").arg("--version"), 2).unwrap_or_else(|| "rustc".to_owned()),
        })
    }
}

impl Machine {
    /// What counts for a single thread.
    pub(crate) fn in_short(&self) -> String {
        format!("{} cores of {}", self.cores, self.processor)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            cores,
            kernel,
            rustc,
        } = self;
        write!(out, "{processor}, {cores} cores, {kernel}, {rustc}")
    }
}

/// What the kernel says of itself.
fn kernel(name: &str) -> Result<String> {
    let path = format!("/proc/sys/kernel/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// The processor's name in `/proc/cpuinfo`.
fn model(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// A kernel's version, without what its builder added.
fn release(release: &str) -> &str {
    release.split(['-', '+']).next().unwrap_or(release)
}

/// The first words of what a program says of its version; `None` if it is not there.
pub(crate) fn version(command: &mut Command, words: usize) -> Option<String> {
    let output = command.output().ok()?;
    // nginx says it on standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let said: Vec<&str> = said.lines().next()?.split_whitespace().take(words).collect();
    Some(said.join(" "))
}

/// Lets this process, and those that it starts, open as many files as they may.
pub(crate) fn allow_many_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot allow as many open files as the system does")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(
            model("processor\t: 0\nmodel name\t: AMD EPYC\ncores\t: 2\n"),
            Some("AMD EPYC")
        );
        assert_eq!(model("processor\t: 0\n"), None);
        assert_eq!(release("6.1.0-18-cloud-amd64"), "6.1.0");
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version(&mut Command::new("no-such-program"), 2), None);
        assert_eq!(
            version(Command::new("echo").arg("one two three"), 2).as_deref(),
            Some("one two")
        );
    }
}
