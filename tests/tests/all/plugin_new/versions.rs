//! A new project in Rust uses the versions of crates that this repository uses. When a version has changed:
//!
//! ```sh
//! PACE_BLESS=1 cargo test -p pace-tests --test all plugin_new::versions
//! ```

use std::env;
use std::fs;
use std::process::Command;

use pace_tests::root;

use super::{lasting, succeeds};

#[test]
fn new_project_has_the_versions_of_this_repository() {
    let place = lasting("versions");
    succeeds(&place, &["new", "mine"]);
    let lock = place.join("mine/Cargo.lock");
    let written = fs::read_to_string(&lock).expect("each project has one");
    // cargo keeps the versions of this lock file for the crates that the project uses.
    fs::copy(root().join("Cargo.lock"), &lock).expect("it is ours");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let left = Command::new(cargo)
        .args(["update", "--workspace", "--offline"])
        .current_dir(place.join("mine"))
        .output()
        .expect("cargo runs this test");
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    let wanted = fs::read_to_string(&lock).expect("it is there");
    if env::var_os("PACE_BLESS").is_some() {
        let parts = wanted.split("\n[[package]]\n");
        let others = parts.filter(|part| !part.starts_with("name = \"mine\""));
        let own_sdk = format!(
            "name = \"pace-plugin\"\nversion = {:?}",
            env!("CARGO_PKG_VERSION")
        );
        let template = others.collect::<Vec<_>>().join("\n[[package]]\n");
        let template = template.replace(&own_sdk, "name = \"pace-plugin\"\nversion = \"@VERSION@\"");
        fs::write(
            root().join("host/author/src/new/templates/rust/Cargo.lock"),
            template,
        )
        .expect("it is in the repository");
        return;
    }
    assert_eq!(
        written, wanted,
        "the template of Cargo.lock is not of this repository: see the top of this file"
    );
}
