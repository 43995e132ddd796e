//! A description of the machine, for the reader of figures.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::process::Command;

/// The machine and compiler of the figures. Figures of different machines cannot be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// The compiler of the proxies.
    rustc: String,
}

impl Machine {
    /// Describes this machine.
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
    /// The processor and its cores: the part that matters to a single thread.
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

/// Reads a text that the kernel has about itself.
fn kernel(name: &str) -> Result<String> {
    let path = format!("/proc/sys/kernel/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// Finds the processor's name in `/proc/cpuinfo`.
fn model(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// A kernel's version, without its builder's suffix.
fn release(release: &str) -> &str {
    release.split(['-', '+']).next().unwrap_or(release)
}

/// The first words of a program's version message; `None` if there is no such program.
pub(crate) fn version(command: &mut Command, words: usize) -> Option<String> {
    let output = command.output().ok()?;
    // nginx writes its version to standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let said: Vec<&str> = said.lines().next()?.split_whitespace().take(words).collect();
    Some(said.join(" "))
}

/// Raises the limit of open files of this process, and of those that it starts, as far as allowed.
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
    fn processor_is_named() {
        assert_eq!(
            model("processor\t: 0\nmodel name\t: AMD EPYC\ncores\t: 2\n"),
            Some("AMD EPYC")
        );
        assert_eq!(model("processor\t: 0\n"), None);
        assert_eq!(release("6.1.0-18-cloud-amd64"), "6.1.0");
    }

    #[test]
    fn missing_program_has_no_version() {
        assert_eq!(version(&mut Command::new("no-such-program"), 2), None);
        assert_eq!(
            version(Command::new("echo").arg("one two three"), 2).as_deref(),
            Some("one two")
        );
    }
}
