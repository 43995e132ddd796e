//! Makes what is compiled into the binary: the default plugins, with their machine code, so that a start has next to nothing
//! to compile; and the contract and the SDK for projects of plugins.

#[cfg(feature = "builtins")]
#[path = "src/plugin/ahead.rs"]
mod ahead;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    // Who uses the library to test a plugin of their own has no use for those of the binary, and has not built them.
    #[cfg(feature = "builtins")]
    builtins::write();
    embed();
}

#[cfg(feature = "builtins")]
mod builtins {
    use std::env;
    use std::fs;
    use std::path::Path;

    use wasmtime::error::Context;
    use wasmtime::{Engine, Result};

    use super::{ahead, out};

    const NAMES: [&str; 3] = ["rate-limiter", "round-robin", "header-injection"];

    /// Writes the list of the default plugins, and what they consist of.
    pub(super) fn write() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
        // There may be none for the machine that this is built for.
        let compiler = compiler().map_err(|error| {
            println!("cargo::warning=Pace will compile its plugins whenever it starts: {error:#}");
        });
        let mut list = String::from("const BUILTINS: &[Builtin] = &[\n");
        for name in NAMES {
            let file = directory.join(name).with_extension("wasm");
            println!("cargo::rerun-if-changed={}", file.display());
            match entry(name, &file, compiler.as_ref().ok()) {
                Ok(entry) => list += &entry,
                Err(error) => println!(
                    "cargo::error=the default plugin {name} ({}): {error:#}; run `cargo xtask plugins`",
                    file.display()
                ),
            }
        }
        list += "];\n";
        fs::write(out("builtins.rs"), list).expect("cargo has made the directory");
    }

    /// Its component and its code are of one read: the file may be another one when what is written here is compiled.
    fn entry(name: &str, file: &Path, compiler: Option<&Engine>) -> Result<String> {
        let bytes = fs::read(file)?;
        let place = ahead::first_module(&bytes).context("it has no module")?;
        let module = bytes.get(place.clone()).context("it ends within its module")?;
        let code = match compiler {
            Some(compiler) => compiler.precompile_module(module)?,
            None => Vec::new(),
        };
        let [component, compiled] = ["wasm", "code"].map(|kind| out(name).with_extension(kind));
        fs::write(&component, &bytes)?;
        fs::write(&compiled, code)?;
        Ok(format!(
            "    Builtin {{\n        name: {name:?},\n        component: include_bytes!({component:?}),\n        \
             module: {place:?},\n        code: include_bytes!({compiled:?}),\n    }},\n"
        ))
    }

    /// For any processor of the kind: nobody knows on which one it will run.
    fn compiler() -> Result<Engine> {
        let target = env::var("TARGET").expect("cargo sets it for build scripts");
        Engine::new(ahead::settings().target(&target)?)
    }
}

/// Writes lists of the contract's files and of the SDK's, with their content.
fn embed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = |name: &str, directory: PathBuf, extension: &str| {
        println!("cargo::rerun-if-changed={}", directory.display());
        let mut paths = Vec::new();
        files(&directory, extension, &mut paths);
        paths.sort();
        let entries: String = paths
            .iter()
            .map(|path| {
                let relative = path.strip_prefix(&directory).expect("it was found in there");
                format!("    ({relative:?}, include_str!({path:?})),\n")
            })
            .collect();
        assert!(!entries.is_empty(), "{} has no files", directory.display());
        format!("pub(crate) const {name}: Files = &[\n{entries}];\n")
    };
    let lists = [
        list("CONTRACT_FILES", root.join("wit"), "wit"),
        list("SDK_FILES", root.join("plugins/sdk/src"), "rs"),
    ];
    fs::write(out("embedded.rs"), lists.concat()).expect("cargo has made the directory");
}

/// A file that this writes.
fn out(name: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").expect("cargo sets it for build scripts")).join(name)
}

fn files(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the repository has it") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|of_file| of_file == extension) {
            found.push(path);
        }
    }
}
