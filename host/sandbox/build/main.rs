//! Makes the files that are compiled into the binary: the default plugins, with their machine code, so that a start has
//! next to nothing to compile, and the files of the contract.

#[cfg(feature = "precompiled")]
#[path = "../src/ahead.rs"]
mod ahead;
mod embed;

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    // A project that tests its own plugin with this library has no use for the default plugins, and has not built them.
    #[cfg(feature = "builtins")]
    builtins::write();
    embed::write(Path::new("../../wit"), "wit", &out("contract.rs"));
}

#[cfg(feature = "builtins")]
mod builtins {
    use std::fs;
    use std::ops::Range;
    use std::path::Path;

    use super::out;

    mod names {
        #![expect(unreachable_pub, reason = "the crate of the configuration shows them")]
        include!("../../config/src/builtins.rs");
    }

    /// Writes the list of the default plugins, with their components and code.
    pub(super) fn write() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        let compiler = Compiler::new();
        let mut list = String::from("const BUILTINS: &[Builtin] = &[\n");
        for name in names::BUILTINS {
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

    /// Writes the component and the code of a plugin, and returns its entry in the list. Both come from one read of the
    /// file, which may be another one when the entry is compiled.
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

    /// Makes no code. Pace compiles the plugins whenever it starts.
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

    /// Makes code that runs on any processor of the kind, since it is unknown which one that will be. There is no engine if
    /// wasmtime has no compiler for the target.
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

        /// The place of the module in a component, and the module's code.
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

/// The path of a file that this script writes.
fn out(name: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").expect("cargo sets it for build scripts")).join(name)
}
