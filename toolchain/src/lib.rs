//! Finds a Rust that compiles to `wasm32-unknown-unknown`, for `pace plugin build` and `cargo xtask plugins`,
//! and has the test by which both find out whether plugins in C can be compiled.
//!
//! The Rust in use is one if rustup has added the target. Where rustup cannot download, Debian has a second,
//! newer Rust with the source of the standard library, which is compiled on the way.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that plugins are compiled to.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The target of plugins in C, as an argument of clang.
pub const C_TARGET: &str = "--target=wasm32-wasi";

/// Arguments with which clang fails unless it knows [`C_TARGET`] and finds a header of the C library for it.
pub const FINDS_C_LIBRARY: &[&str] = &[
    C_TARGET,
    "-fsyntax-only",
    "-include",
    "stdlib.h",
    "-x",
    "c",
    "/dev/null",
];

/// Debian's packages of a Rust that follows upstream's releases, for building browsers.
pub const DEBIAN_PACKAGES: &[&str] = &["cargo-web", "rust-web-llvm", "rust-web-src", "rustc-web"];
/// A link into the package of LLVM's linker, which may not be installed.
pub const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Environment variables meant for the build of the host, or for another compiler than the one chosen here.
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
pub enum Toolchain {
    /// The Rust that compiles everything else, with the target's standard library beside it.
    Current,
    /// Debian's Rust, which compiles the standard library first.
    Debian {
        /// The linker for WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Sets up `cargo ACTION` to compile for [`TARGET`]. `start` makes a command of a program.
    pub fn cargo(&self, start: impl Fn(OsString) -> Command, action: &str) -> Command {
        let mut command = match self {
            Toolchain::Current => start(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Toolchain::Debian { .. } => start(DEBIAN_CARGO.into()),
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
            // Debian's compiler is a stable one, and only unstable ones build the library.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// The reason why a toolchain cannot compile plugins.
#[derive(Debug)]
pub enum Unusable {
    /// A program did not start, or did not do what it was asked.
    Program {
        /// The program's name.
        name: &'static str,
        /// The message of the system or the program.
        reason: String,
    },
    /// The toolchain has neither the target's standard library nor its source.
    NoStd(String),
    /// The toolchain is older than plugins need.
    TooOld {
        /// The version that it reports.
        found: String,
        /// The version that plugins need.
        needed: &'static str,
    },
    /// There is no linker for WebAssembly.
    NoLinker(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Program { name, reason } => write!(f, "{name}: {reason}"),
            Unusable::NoStd(place) => {
                write!(f, "{place} is not there or has no standard library for {TARGET}")
            }
            Unusable::TooOld { found, needed } => write!(f, "{DEBIAN_RUSTC} is {found}, older than {needed}"),
            Unusable::NoLinker(sysroot) => write!(f, "no rust-lld in {sysroot} or /usr/bin"),
        }
    }
}

impl std::error::Error for Unusable {}

/// The Rust in use, if it can compile plugins.
///
/// # Errors
///
/// It has no standard library for the target.
pub fn current() -> Result<Toolchain, Unusable> {
    let directory = output(
        rustc().args(["--print", "target-libdir", "--target", TARGET]),
        "rustc",
    )?;
    let files = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut names = files.map(|file| file.file_name());
    match names.any(|name| name.to_string_lossy().starts_with("libstd-")) {
        true => Ok(Toolchain::Current),
        false => Err(Unusable::NoStd(directory)),
    }
}

/// Debian's second Rust, if it is installed.
///
/// # Errors
///
/// It is not installed, or not completely, or it is too old.
pub fn debian() -> Result<Toolchain, Unusable> {
    let version = output(debian_rustc().arg("--version"), DEBIAN_RUSTC)?;
    output(Command::new(DEBIAN_CARGO).arg("--version"), DEBIAN_CARGO)?;
    let needed = env!("CARGO_PKG_RUST_VERSION");
    if minor(&version) < minor(needed) {
        return Err(Unusable::TooOld {
            found: version,
            needed,
        });
    }
    let sysroot = output(debian_rustc().args(["--print", "sysroot"]), DEBIAN_RUSTC)?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    if !source.exists() {
        return Err(Unusable::NoStd(source.display().to_string()));
    }
    Ok(Toolchain::Debian { linker: linker()? })
}

/// Finds a linker for WebAssembly that knows the object files of Debian's compiler: the one that the Rust in
/// use has, otherwise Debian's own.
///
/// # Errors
///
/// There is none.
pub fn linker() -> Result<PathBuf, Unusable> {
    let carried = || -> Result<PathBuf, Unusable> {
        let about = output(rustc().arg("-vV"), "rustc")?;
        let sysroot = output(rustc().args(["--print", "sysroot"]), "rustc")?;
        let host = host(&about).ok_or_else(|| Unusable::NoLinker(sysroot.clone()))?;
        Ok(Path::new(&sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin/rust-lld"))
    };
    let found = carried()
        .into_iter()
        .chain([DEBIAN_LINKER.into()])
        .find(|path| path.exists());
    found.ok_or_else(|| Unusable::NoLinker("the Rust in use".to_owned()))
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn debian_rustc() -> Command {
    let mut command = Command::new(DEBIAN_RUSTC);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Runs a program and returns its output, without the line feed at the end.
fn output(command: &mut Command, name: &'static str) -> Result<String, Unusable> {
    let failed = |reason: String| Unusable::Program { name, reason };
    let output = command
        .output()
        .map_err(|error: io::Error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Finds the host in the output of `rustc -vV`.
fn host(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("host: "))
}

/// Reads the 96 of `rustc 1.96.0 (...)` or `1.96`.
fn minor(version: &str) -> Option<u32> {
    let number = version.strip_prefix("rustc ").unwrap_or(version);
    number.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_found_in_output_of_rustc() {
        let about =
            "rustc 1.96.0 (0123 2026-05-25)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0";
        assert_eq!(host(about), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(host("rustc 1.96.0"), None);
    }

    #[test]
    fn version_is_compared_by_number() {
        assert_eq!(
            minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert_eq!(minor("1.95"), Some(95));
        assert!(minor("rustc 1.100.0") > minor("1.95"));
        assert!(minor("gcc") < minor("1.95"), "what is unreadable is too old");
    }
}
