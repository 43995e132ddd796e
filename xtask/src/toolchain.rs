//! A Rust that compiles to `wasm32-unknown-unknown`.
//!
//! The target's standard library comes from rustup in seconds, where there is a rustup and where it
//! may download. Where not, Debian has a second, newer Rust with the library's source.

use crate::{cargo, prerequisites, process};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// `rustup target add` downloads some 20 MB. What takes longer is likely a network that drops packets.
const RUSTUP_LIMIT: Duration = Duration::from_secs(90);

/// Debian's Rust that follows upstream's releases, for building browsers.
const DEBIAN_PACKAGES: &[&str] = &["cargo-web", "rust-web-llvm", "rust-web-src", "rustc-web"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// A link into the package of LLVM's linker, which may not be installed.
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";

/// Variables that are meant for the build of the host, or for another compiler than the one chosen here.
const FOREIGN: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
];
const OF_ANOTHER_COMPILER: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "LD_LIBRARY_PATH",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTUP_TOOLCHAIN",
];

/// A way to compile plugins.
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// The Rust that compiles everything else, with the target's standard library beside it.
    Current,
    /// Debian's, which compiles the standard library first.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// `cargo ACTION`, set up to compile for [`TARGET`].
    pub(crate) fn cargo(&self, action: &str) -> Command {
        let mut command = match self {
            Toolchain::Current => cargo::cargo(),
            Toolchain::Debian { .. } => cargo::at_root(DEBIAN_CARGO),
        };
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.args([action, "--target", TARGET]);
        if let Toolchain::Debian { linker } = self {
            for name in OF_ANOTHER_COMPILER {
                command.env_remove(name);
            }
            command.env("RUSTC", DEBIAN_RUSTC);
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            // Its compiler is a stable one, and only unstable ones build the library.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// A name, and what finds or makes a toolchain.
type Way = (&'static str, fn() -> Result<Toolchain>);

/// Finds a toolchain; if there is none, installs one.
pub(crate) fn find() -> Result<Toolchain> {
    // What is there comes before what would have to be downloaded.
    let ways: [Way; 4] = [
        ("the Rust in use", current),
        ("Debian's Rust for browsers", debian),
        ("rustup target add", add_with_rustup),
        ("apt-get install", install_debian),
    ];
    let mut failures = String::new();
    for (name, way) in ways {
        match way() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => failures += &format!("\n  {name}: {error:#}"),
        }
    }
    bail!(
        "found no way to compile plugins to {TARGET}. Where rustup can download, \
         `rustup target add {TARGET}` is all it takes. What was tried:{failures}"
    )
}

fn current() -> Result<Toolchain> {
    let directory = process::output(rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
    let files = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut names = files.map(|file| file.file_name());
    let has_std = names.any(|name| name.to_string_lossy().starts_with("libstd-"));
    ensure!(has_std, "{directory} has no standard library");
    Ok(Toolchain::Current)
}

fn add_with_rustup() -> Result<Toolchain> {
    ensure!(
        process::works(Command::new("rustup").arg("--version")),
        "rustup is not there"
    );
    println!("Adding {TARGET} with rustup: plugins are compiled to it.");
    process::run_within(
        Command::new("rustup").args(["target", "add", TARGET]),
        RUSTUP_LIMIT,
    )?;
    current()
}

fn debian() -> Result<Toolchain> {
    ensure!(Path::new(DEBIAN_CARGO).exists(), "{DEBIAN_CARGO} is not there");
    let version = process::output(debian_rustc().arg("--version"))?;
    let needed = env!("CARGO_PKG_RUST_VERSION");
    ensure!(
        minor(&version) >= minor(needed),
        "{DEBIAN_RUSTC} is {version}, older than {needed}"
    );
    let sysroot = process::output(debian_rustc().args(["--print", "sysroot"]))?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    ensure!(source.exists(), "{} is not there", source.display());
    Ok(Toolchain::Debian { linker: linker()? })
}

fn install_debian() -> Result<Toolchain> {
    let why = "a Rust that compiles plugins to WebAssembly";
    prerequisites::install(DEBIAN_PACKAGES, why)?;
    if linker().is_err() {
        // The package has the name of the program: `lld-22`.
        let package = fs::read_link(DEBIAN_LINKER).context(DEBIAN_LINKER)?;
        prerequisites::install(&[&package.to_string_lossy()], "the linker for plugins")?;
    }
    debian()
}

/// A linker for WebAssembly that knows the object files of Debian's compiler: the one that the Rust in
/// use carries, else Debian's own.
fn linker() -> Result<PathBuf> {
    let about = process::output(rustc().arg("-vV"))?;
    let sysroot = process::output(rustc().args(["--print", "sysroot"]))?;
    let host = host(&about).context("rustc -vV names no host")?;
    let carried = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    let found = [carried, DEBIAN_LINKER.into()]
        .into_iter()
        .find(|path| path.exists());
    found.with_context(|| format!("no rust-lld in {sysroot} or /usr/bin"))
}

fn rustc() -> Command {
    cargo::at_root(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn debian_rustc() -> Command {
    let mut command = Command::new(DEBIAN_RUSTC);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// The host in what `rustc -vV` prints.
fn host(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("host: "))
}

/// The 96 of `rustc 1.96.0 (...)` or `1.96`.
fn minor(version: &str) -> Option<u32> {
    let number = version.strip_prefix("rustc ").unwrap_or(version);
    number.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found() {
        let about =
            "rustc 1.96.0 (0123 2026-05-25)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0";
        assert_eq!(host(about), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(host("rustc 1.96.0"), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(
            minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert_eq!(minor("1.95"), Some(95));
        assert!(minor("rustc 1.100.0") > minor("1.95"));
        assert!(minor("gcc") < minor("1.95"), "what is unreadable is too old");
    }
}
