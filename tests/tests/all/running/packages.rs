//! Manual pages, completions, the package for Debian and the image for containers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use pace_tests::{HttpBackend, Setup, program, root};

use crate::shipped_config::of_the_package;

/// What `pace` prints or writes with these arguments.
fn made(args: &[&str], directory: &Path) -> String {
    let exit = Setup::new().within(directory).args(args).run();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    exit.stdout
}

#[test]
fn every_command_has_a_manual_page() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    made(&["man", "."], place.path());
    let pages = fs::read_dir(place.path()).expect("it is there");
    let pages: BTreeSet<String> = pages
        .map(|page| {
            page.expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    for page in [
        "pace.1",
        "pace-run.1",
        "pace-check.1",
        "pace-plugin.1",
        "pace-plugin-new.1",
    ] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    assert!(!pages.contains("pace-compile-plugin.1"), "{pages:?}");
    let page = fs::read_to_string(place.path().join("pace.1")).expect("it is text");
    assert!(page.starts_with(".ie") || page.contains(".TH pace 1"), "{page}");
    let refused = Setup::new().args(["man", "/nowhere"]).run();
    assert!(
        refused
            .refusal()
            .contains("cannot write the manual pages into /nowhere"),
        "{refused:#?}"
    );
}

#[test]
fn completions_know_commands_and_options() {
    let here = root();
    for (shell, first) in [
        ("bash", "_pace()"),
        ("zsh", "#compdef pace"),
        ("fish", "function __fish_pace"),
    ] {
        let script = made(&["completions", shell], here);
        assert!(script.contains(first), "{shell}: {script}");
        for word in ["check", "plugin", "ready-file"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
}

#[test]
fn image_is_made_of_files_that_are_there_and_starts_pace() {
    let text = fs::read_to_string(root().join("Dockerfile")).expect("the file is there");
    let installed: Vec<&str> = text
        .split_whitespace()
        .filter(|word| word.starts_with("config/"))
        .collect();
    assert!(!installed.is_empty());
    for file in installed {
        assert!(root().join(file).is_file(), "{file}");
    }
    let words = |key: &str| -> Vec<String> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        serde_json::from_str(line.expect("it is there")).expect("it is a list in JSON")
    };
    assert_eq!(words("ENTRYPOINT"), ["/usr/bin/pace"]);
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let config = place.path().join("pace.toml");
    fs::write(&config, of_the_package()).expect("the directory is writable");
    let command = words("CMD").into_iter().map(|word| match word.as_str() {
        "/etc/pace/pace.toml" => config.clone().into_os_string(),
        _ => word.into(),
    });
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .args(command)
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .start();
    assert_eq!(pace.get("/").text(), "one");
}

/// The package is made of the program under test, and unpacked: installing it would change this machine.
#[test]
fn package_of_debian_has_what_it_promises_and_its_program_serves() {
    let works = |program: &str, argument: &str| {
        let run = Command::new(program).arg(argument).current_dir(root()).output();
        run.is_ok_and(|output| output.status.success())
    };
    if !(works("cargo-deb", "--version") && works("dpkg-deb", "--version")) {
        println!("SKIPPED: there is no cargo-deb, or no dpkg-deb");
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let (package, unpacked) = (place.path().join("pace.deb"), place.path().join("unpacked"));
    let target = root().join("target/package");
    fs::create_dir_all(target.join("man")).expect("the directory is writable");
    made(&["man", "man"], &target);
    for (shell, file) in [("bash", "pace.bash"), ("zsh", "_pace"), ("fish", "pace.fish")] {
        let script = made(&["completions", shell], &target);
        fs::write(target.join(file), script).expect("the directory is writable");
    }
    let run = |command: &mut Command| {
        let output = command.output().expect("the program is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut make = Command::new("cargo-deb");
    make.args([
        "deb",
        "--package",
        "pace",
        "--no-build",
        "--no-strip",
        "--fast",
        "--profile",
        "dev",
        "--output",
    ]);
    run(make.arg(&package).current_dir(root()));
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .args([&package, &unpacked]));
    for file in [
        "usr/bin/pace",
        "etc/pace/pace.toml",
        "usr/lib/systemd/system/pace.service",
        "usr/lib/systemd/system/pace.socket",
        "usr/lib/sysusers.d/pace.conf",
        "usr/share/man/man1/pace-check.1.gz",
        "usr/share/bash-completion/completions/pace",
    ] {
        assert!(unpacked.join(file).is_file(), "{file} is missing");
    }
    let control = run(Command::new("dpkg-deb").arg("--info").arg(&package));
    assert!(
        control.contains("conffiles") && control.contains("postinst"),
        "{control}"
    );
    let installed = unpacked.join("usr/bin/pace");
    let size = |path: &Path| fs::metadata(path).expect("it is there").len();
    assert_eq!(size(&installed), size(&program()));
    let backend = HttpBackend::named("one");
    let config = fs::read_to_string(unpacked.join("etc/pace/pace.toml")).expect("it is text");
    let config = config.replace("127.0.0.1:9090", "127.0.0.1:0");
    let pace = Setup::of(&installed)
        .config(&config)
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .start();
    assert_eq!(pace.get("/").text(), "one");
}
