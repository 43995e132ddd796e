//! Makes what is compiled into the binary: the default plugins, with their machine code, so that no start waits for a
//! compiler; and the contract and the SDK for projects of plugins.

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

    use wasmtime::{Engine, Result};

    use super::{ahead, out};

    const NAMES: [&str; 3] = ["rate-limiter", "round-robin", "header-injection"];

    /// Writes the list of the default plugins.
    pub(super) fn write() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
        let files = NAMES.map(|name| directory.join(name).with_extension("wasm"));
        for file in &files {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        let missing: Vec<_> = files.iter().filter(|file| !file.is_file()).collect();
        if !missing.is_empty() {
            println!(
                "cargo::error=run `cargo xtask plugins`: default plugins have not been built: {missing:?}"
            );
            return;
        }
        let entries: String = NAMES
            .iter()
            .zip(&files)
            .map(|(name, file)| entry(name, file))
            .collect();
        let list = format!("const BUILTINS: &[Builtin] = &[\n{entries}];\n");
        fs::write(out("builtins.rs"), list).expect("cargo has made the directory");
    }

    fn entry(name: &str, file: &Path) -> String {
        let component = fs::read(file).expect("it is there");
        let module = ahead::first_module(&component).expect("`cargo xtask plugins` makes components");
        let code = code(&component[module.clone()]).unwrap_or_else(|error| {
            println!("cargo::warning=Pace will compile {name} whenever it starts: {error:#}");
            Vec::new()
        });
        let path = out(name).with_extension("code");
        fs::write(&path, code).expect("cargo has made the directory");
        format!(
            "    Builtin {{\n        name: {name:?},\n        component: include_bytes!({file:?}),\n        \
             module: {module:?},\n        code: include_bytes!({path:?}),\n    }},\n"
        )
    }

    /// For any processor of the kind: nobody knows on which one it will run. There may be no compiler for that here.
    fn code(module: &[u8]) -> Result<Vec<u8>> {
        let target = env::var("TARGET").expect("cargo sets it for build scripts");
        let engine = Engine::new(ahead::settings().target(&target)?)?;
        engine.precompile_module(module)
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
