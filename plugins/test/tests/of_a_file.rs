//! A plugin in a file on the disk, as its author has it.

use pace_plugin_test::{Hook, Plugin, Request, Word, json};

/// Loads the component that `cargo xtask plugins` makes of `plugins/cookbook/NAME`.
fn load(name: &str) -> Plugin {
    let file = format!(
        "{}/../../target/plugins/cookbook/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    Plugin::load(&file).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn plugin_of_a_file_is_loaded_configured_and_called() {
    let plugin = load("maintenance");
    assert!(plugin.hooks().contains(Hook::RequestFilter) && !plugin.hooks().contains(Hook::SelectUpstream));
    let session = plugin.configure(json!({})).expect("nothing must be configured");
    let outcome = session.send(Request::get("/"));
    assert_eq!((outcome.word, outcome.status()), (Word::Respond, Some(503)));
}

#[test]
fn refusal_of_a_plugin_has_its_text() {
    let failure = load("maintenance").configure(json!({ "zzz": 1 })).err();
    let failure = failure.expect("there is no such key");
    assert!(failure.detail.contains("zzz"), "{failure}");
}
