//! Makes components of core modules that carry the type of a component, which is how compilers leave them.
//!
//! Arguments: a directory, and the modules. Each component is written into the directory, under the name of its module.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: pace-component DIRECTORY MODULE...");
        return ExitCode::FAILURE;
    };
    match arguments.try_for_each(|module| make(&module, &directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(module: &Path, directory: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .with_context(|| format!("cannot make a component of {}", module.display()))?;
    let path = directory.join(module.file_name().context("a module has a name")?);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, component))
        .with_context(|| format!("cannot write {}", path.display()))
}
