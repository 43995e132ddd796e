//! Builds plugins in C: clang, with bindings that Pace generates.

use std::fs;
use std::path::Path;

use pace_toolchain::{C_TARGET, FINDS_C_LIBRARY};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use super::tool::{Tool, run};
use super::{BuildError, MADE, made};

const CLANG: Tool = Tool {
    name: "clang",
    program: "clang",
    probe: &["--version"],
    at_least: None,
    language: "C",
    remedy: "On Debian: `apt-get install clang lld wasi-libc`.",
};

const LINKER: Tool = Tool {
    name: "wasm-ld",
    program: "wasm-ld",
    probe: &["--version"],
    at_least: None,
    language: "C",
    remedy: "It is part of LLVM's linker. On Debian: `apt-get install lld`.",
};

const LIBRARY: Tool = Tool {
    name: "the C library for WASI",
    program: "clang",
    probe: FINDS_C_LIBRARY,
    at_least: None,
    language: "C",
    remedy: "On Debian: `apt-get install wasi-libc`.",
};

pub(super) fn build(project: &Path) -> Result<Vec<u8>, BuildError> {
    let mut clang = CLANG.command(project)?;
    LINKER.check()?;
    LIBRARY.check()?;
    bindings(project)?;
    clang.args([
        C_TARGET,
        "-std=c11",
        "-O2",
        "-Wall",
        "-Wextra",
        // The bindings have parts that a plugin does not use.
        "-Wno-unused-parameter",
        "-mexec-model=reactor",
        "-nostartfiles",
        // The code needs nothing of the compiler's run-time library.
        "-nodefaultlibs",
        "-Wl,--no-entry",
        "-Ibuild",
        "plugin.c",
        "build/component.c",
        "build/component_component_type.o",
        "-lc",
        "-o",
        MADE,
    ]);
    made(project, "clang", || run(&mut clang))
}

/// Writes `component.h` and `component.c` for the world of the project, and the object with the component's
/// type.
fn bindings(project: &Path) -> Result<(), BuildError> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(project.join("wit")).map_err(bad)?;
    let world = resolve.select_world(&[package], Some("component")).map_err(bad)?;
    let mut files = Files::default();
    Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .map_err(bad)?;
    let directory = project.join("build");
    for (name, content) in files.iter() {
        let path = directory.join(name);
        let write = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, content));
        write.map_err(|source| BuildError::File { path, source })?;
    }
    Ok(())
}

/// An error about the bindings, with its causes.
fn bad(error: impl std::fmt::Display) -> BuildError {
    BuildError::Bindings(format!("{error:#}"))
}
