//! Builds plugins in Rust: cargo, with the toolchain that Pace builds plugins with everywhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pace_toolchain::TARGET;
use serde_json::Value;

use super::BuildError;

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    let toolchain = pace_toolchain::current().or_else(|current| {
        pace_toolchain::debian().map_err(|debian| BuildError::Missing {
            what: "a Rust that compiles to wasm32-unknown-unknown",
            language: "Rust",
            why: format!("{current}; {debian}"),
            remedy: "Run `rustup target add wasm32-unknown-unknown`; where rustup cannot download, Debian has one: \
                     `apt-get install cargo-web rustc-web rust-web-src rust-web-llvm`.",
        })
    })?;
    let start = |program| {
        let mut command = Command::new(program);
        command.current_dir(project);
        command
    };
    let mut command = toolchain.cargo(start, "build");
    command
        .args(["--release", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let shown = format!("cargo build --release --target {TARGET}");
    let output = command.output().map_err(|source| BuildError::CannotStart {
        command: shown.clone(),
        source,
    })?;
    if !output.status.success() {
        return Err(BuildError::Failed(shown));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    // The last module is the project's own: its dependencies were built before.
    let module = messages.lines().filter_map(module).next_back();
    let path = module.ok_or_else(|| {
        BuildError::NothingMade(
            format!("{shown}: is `crate-type = [\"cdylib\"]` in Cargo.toml?"),
            project.join("target"),
        )
    })?;
    std::fs::read(&path).map_err(|source| BuildError::File { path, source })
}

/// The module that a message of cargo names.
fn module(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}
