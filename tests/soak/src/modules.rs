//! Hand-written plugins, as core modules with the type of a component.

use pace_kit::{text_fixture, text_plugin};

/// Plugins in `tests/fixtures/wat`, and the refusal that each must get.
const FIXTURES: [(&str, &[&str]); 4] = [
    ("endless-start", &["starting the instance failed: deadline: "]),
    (
        "huge-memory",
        &["failed: memory: 4194304 KiB of memory asked for"],
    ),
    ("huge-table", &["table"]),
    ("trap-start", &["starting the instance failed: trap: "]),
];

/// A plugin whose `configure` traps.
const TRAPPING_CONFIGURE: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 8)
  (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    unreachable)
  (func (export "pace:plugin/request-filter@0.1.0#filter") (result i32)
    unreachable))
"#;

/// A name, texts one of which must be in the refusal, and the bytes.
type Module = (&'static str, &'static [&'static str], Vec<u8>);

/// Returns all modules.
pub(crate) fn all() -> Vec<Module> {
    let trapping = text_plugin(TRAPPING_CONFIGURE);
    let fixtures = FIXTURES.map(|(name, says)| (name, says, text_fixture(name)));
    [("trapping-configure", &["configure failed: trap: "][..], trapping)]
        .into_iter()
        .chain(fixtures)
        .collect()
}
