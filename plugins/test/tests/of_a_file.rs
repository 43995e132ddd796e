//! A plugin as its author has it: a file on the disk.

use pace_plugin_test::{Hook, Plugin, Request, Word, json};

/// What `cargo xtask plugins` has made of `plugins/cookbook/NAME`.
fn load(name: &str) -> Plugin {
    let file = format!(
        "{}/../../target/plugins/cookbook/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    Plugin::load(&file).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_file_is_loaded_configured_and_called() {
    let plugin = load("maintenance");
    assert!(plugin.hooks().contains(Hook::RequestFilter) && !plugin.hooks().contains(Hook::SelectUpstream));
    let session = plugin.configure(json!({})).expect("nothing must be configured");
    let outcome = session.send(Request::get("/"));
    assert_eq!((outcome.word, outcome.status()), (Word::Respond, Some(503)));
}

#[test]
fn what_a_file_refuses_is_told() {
    let failure = load("maintenance").configure(json!({ "zzz": 1 })).err();
    let failure = failure.expect("there is no such key");
    assert!(failure.detail.contains("zzz"), "{failure}");
}
