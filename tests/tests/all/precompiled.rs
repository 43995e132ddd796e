//! Compiled code in the place of a plugin is never run: whoever can write a plugin's file could otherwise do what
//! Pace can.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pace_tests::{Origin, Pace, Setup, fixture, program, wait_for};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{Swapping, directory};

/// What the compiler of Pace makes of a plugin, which is what it would run.
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
    /// What is not code, or is still being written, has an extension.
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
    let config = with_plugins(&server, &[("respond", &fixture("respond"))], &[&Origin::down()]);
    let _pace = Pace::with_config(&config);
    wait_for("compiled plugins to be kept", || any(&cache))
}

/// What lies there, and what is said of it.
fn artifacts() -> [(&'static str, Vec<u8>, &'static str); 3] {
    let both = compiled();
    // Eight bytes are the length of the first part; it is what wasmtime itself calls a serialized component.
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
fn at_start_and_while_serving_it_is_refused() {
    let swapping = Swapping::new();
    for (name, bytes, says) in artifacts() {
        let setup = Setup::new().file("plugin.wasm", &bytes);
        let file = setup.directory().join("plugin.wasm");
        let config = with_plugins(SERVER, &[("precompiled", &file)], &[&Origin::down()]);
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
