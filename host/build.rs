//! Makes what is compiled into the binary: the default plugins, with their machine code, so that a start has next to nothing
//! to compile; and the contract and the SDK for projects of plugins.

#[cfg(feature = "precompiled")]
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
    use std::fs;
    use std::ops::Range;
    use std::path::Path;

    use super::out;

    const NAMES: [&str; 3] = ["rate-limiter", "round-robin", "header-injection"];

    /// Writes the list of the default plugins, and what they consist of.
    pub(super) fn write() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
        let compiler = Compiler::new();
        let mut list = String::from("const BUILTINS: &[Builtin] = &[\n");
        for name in NAMES {
            let file = directory.join(name).with_extension("wasm");
            println!("cargo::rerun-if-changed={}", file.display());
            match entry(name, &file, &compiler) {
                Ok(entry) => list += &entry,
                Err(error) => println!(
                    "cargo::error=the default plugin {name} ({}): {error}; run `cargo xtask plugins`",
                    file.display()
                ),
            }
        }
        list += "];\n";
        fs::write(out("builtins.rs"), list).expect("cargo has made the directory");
    }

    /// Its component and its code are of one read: the file may be another one when what is written here is compiled.
    fn entry(name: &str, file: &Path, compiler: &Compiler) -> Result<String, String> {
        let bytes = fs::read(file).map_err(|error| error.to_string())?;
        let (place, code) = compiler.code(&bytes)?;
        let [component, compiled] = ["wasm", "code"].map(|kind| out(name).with_extension(kind));
        let write = |path, bytes: &[u8]| fs::write(path, bytes).expect("cargo has made the directory");
        write(&component, &bytes);
        write(&compiled, &code);
        Ok(format!(
            "    Builtin {{\n        name: {name:?},\n        component: include_bytes!({component:?}),\n        \
             module: {place:?},\n        code: include_bytes!({compiled:?}),\n    }},\n"
        ))
    }

    /// Makes no code: Pace will, whenever it starts.
    #[cfg(not(feature = "precompiled"))]
    struct Compiler;

    #[cfg(not(feature = "precompiled"))]
    impl Compiler {
        fn new() -> Compiler {
            Compiler
        }

        fn code(&self, _component: &[u8]) -> Result<(Range<usize>, Vec<u8>), String> {
            Ok((0..0, Vec::new()))
        }
    }

    /// Makes code for any processor of the kind: nobody knows on which one it will run. There may be no compiler for the
    /// machine that this is built for.
    #[cfg(feature = "precompiled")]
    struct Compiler(Option<wasmtime::Engine>);

    #[cfg(feature = "precompiled")]
    impl Compiler {
        fn new() -> Compiler {
            let target = std::env::var("TARGET").expect("cargo sets it for build scripts");
            let engine = super::ahead::settings()
                .target(&target)
                .and_then(|config| wasmtime::Engine::new(config));
            if let Err(error) = &engine {
                println!("cargo::warning=Pace will compile its plugins whenever it starts: {error:#}");
            }
            Compiler(engine.ok())
        }

        /// Where a component has its module, and the code of that.
        fn code(&self, component: &[u8]) -> Result<(Range<usize>, Vec<u8>), String> {
            let place = super::ahead::first_module(component).ok_or("it has no module")?;
            let module = component.get(place.clone()).ok_or("it ends within its module")?;
            let code = match &self.0 {
                Some(engine) => engine
                    .precompile_module(module)
                    .map_err(|error| format!("{error:#}"))?,
                None => Vec::new(),
            };
            Ok((place, code))
        }
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
