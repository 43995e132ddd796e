//! Embeds the SDK for plugins in Rust, which `pace plugin new` writes into projects.

#[path = "../sandbox/build/embed.rs"]
mod embed;

use std::env;
use std::path::Path;

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo sets it for build scripts");
    let sources = Path::new("../../plugins/sdk/src");
    embed::write(sources, "rs", &Path::new(&out).join("sdk.rs"));
}
