//! The units for systemd, checked with systemd's own tools.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use pace_tests::root;

/// The exposure above which systemd calls a service "OK" no longer "GOOD"; the scale ends at 10.
const MOST_EXPOSURE: &str = "30";

fn analyze(args: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(args).output();
    if output.is_err() {
        println!("SKIPPED: there is no systemd-analyze here");
    }
    output.ok()
}

/// Copies of the units in a directory, with programs that are there in place of those that are not installed.
fn units() -> (tempfile::TempDir, Vec<PathBuf>) {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let paths = ["pace.service", "pace.socket"].map(|name| {
        let text = fs::read_to_string(root().join("config").join(name)).expect("the file is there");
        let text = text
            .replace("/usr/bin/pace", "/bin/true")
            .replace("User=pace", "User=root");
        let path = place.path().join(name);
        fs::write(&path, text).expect("the directory is writable");
        path
    });
    (place, paths.to_vec())
}

#[test]
fn units_are_verified_by_systemd() {
    let (_place, paths) = units();
    let mut args = vec!["verify", "--man=no"];
    args.extend(paths.iter().map(|path| path.to_str().expect("it is UTF-8")));
    let Some(output) = analyze(&args) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("pace."), "{said}");
}

#[test]
fn service_is_as_little_exposed_as_it_can_be() {
    let (_place, paths) = units();
    let path = paths[0].to_str().expect("it is UTF-8");
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let args = ["security", "--offline=true", "--no-pager", &threshold, path];
    let Some(output) = analyze(&args) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
