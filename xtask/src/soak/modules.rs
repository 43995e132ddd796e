//! Plugins that no compiler makes, as core modules with the type of a component.

use crate::cargo;
use anyhow::{Context, Result};
use std::fs;
use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

/// Those in `tests/fixtures/wat`, and what the proxy must say of each.
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

/// A name, what the proxy must say one of, and the bytes.
type Module = (&'static str, &'static [&'static str], Vec<u8>);

/// Names and modules.
pub(crate) fn all() -> Result<Vec<Module>> {
    let root = cargo::root();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit"))?;
    let world = resolve.select_world(&[package], Some("request-filtering"))?;
    let trapping = module(TRAPPING_CONFIGURE, &resolve, world)?;
    let mut modules: Vec<Module> = vec![("trapping-configure", &["configure failed: trap: "], trapping)];
    for (name, says) in FIXTURES {
        let file = root.join("tests/fixtures/wat").join(name).with_extension("wat");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        modules.push((name, says, module(&text, &resolve, world).context(name)?));
    }
    Ok(modules)
}

fn module(text: &str, resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(text)?;
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}
