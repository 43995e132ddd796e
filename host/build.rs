//! Finds the components of the default plugins, which are compiled into the binary.

use std::path::Path;

fn main() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    for name in ["rate-limiter", "round-robin", "header-injection"] {
        let file = directory.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", file.display());
        if !file.is_file() {
            println!(
                "cargo::error=the default plugin {name} has not been built: run `cargo xtask plugins` (looked \
                 for {})",
                file.display()
            );
        }
    }
    println!("cargo::rustc-env=PACE_BUILTINS={}", directory.display());
}
