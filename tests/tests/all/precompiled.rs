//! Compiled code in place of a plugin is never run: otherwise write access to a plugin's file would give all
//! of Pace's rights.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pace_tests::{HttpBackend, Pace, Setup, fixture, program, wait_for};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{Swapping, directory};

/// The output of Pace's compiler for a plugin, which is the code that Pace runs.
fn compiled() -> Vec<u8> {
    let mut compiler = Command::new(program())
        .arg("compile-plugin")
        .stdin(fs::File::open(fixture("respond")).expect("it has been built"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("Pace can be started");
    let mut output = Vec::new();
    let mut stdout = compiler.stdout.take().expect("it was asked for");
    std::io::copy(&mut stdout, &mut output).expect("it writes the code");
    assert!(compiler.wait().expect("it is ours").success());
    output
}

/// Compiled code as Pace keeps it in `cache_dir`.
fn kept() -> Vec<u8> {
    /// Files that are not code, or are still being written, have an extension.
    fn any(directory: &Path) -> Option<Vec<u8>> {
        let mut entries = fs::read_dir(directory).ok()?;
        entries.find_map(|entry| {
            let path = entry.ok()?.path();
            match path.is_dir() {
                true => any(&path),
                false if path.extension().is_none() => fs::read(path).ok(),
                false => None,
            }
        })
    }
    let files = directory();
    let cache = files.path().join("cache");
    let server = SERVER.replace("workers = 2", &format!("workers = 2\ncache_dir = {cache:?}"));
    let config = with_plugins(
        &server,
        &[("respond", &fixture("respond"))],
        &[&HttpBackend::down()],
    );
    let _pace = Pace::with_config(&config);
    wait_for("compiled plugins to be kept", || any(&cache))
}

/// Artifacts in place of a plugin, with the refusal that each gets.
fn artifacts() -> [(&'static str, Vec<u8>, &'static str); 3] {
    let both = compiled();
    // The first eight bytes are the length of the first part, which wasmtime calls a serialized component.
    let component = both[8..].to_vec();
    assert!(component.starts_with(b"\x7fELF"), "wasmtime's files are ELF");
    [
        (
            "component",
            component,
            "it is code that wasmtime has compiled before; ",
        ),
        ("pace", both, "not WebAssembly: it begins with "),
        (
            "cache",
            kept(),
            "it is compressed by zstd, as compiled code in `cache_dir` is; ",
        ),
    ]
}

#[test]
fn compiled_code_is_refused_at_start_and_while_serving() {
    let swapping = Swapping::new();
    for (name, bytes, says) in artifacts() {
        let setup = Setup::new().file("plugin.wasm", &bytes);
        let file = setup.directory().join("plugin.wasm");
        let config = with_plugins(SERVER, &[("precompiled", &file)], &[&HttpBackend::down()]);
        let exit = setup.config(&config).run();
        let message = exit.refusal();
        assert!(
            message.contains("plugin `precompiled`") && message.contains(says),
            "{name}: {message}"
        );

        swapping.replace(&bytes);
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 409, "{name}: {sentence}");
        assert!(sentence.contains(says), "{name}: {sentence}");
        assert!(sentence.contains("generation 1 (sha256 "), "{name}: {sentence}");
        assert_eq!(swapping.serving(), 1);
    }
}
