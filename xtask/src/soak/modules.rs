//! Plugins that no compiler makes, as core modules with the type of a component.

use crate::cargo;
use anyhow::{Context, Result};
use std::fs;
use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

/// Those in `tests/fixtures/wat`.
const FIXTURES: [&str; 4] = ["endless-start", "huge-memory", "huge-table", "trap-start"];

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

/// Names and modules.
pub(crate) fn all() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let root = cargo::root();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit"))?;
    let world = resolve.select_world(&[package], Some("request-filtering"))?;
    let mut modules = vec![("trapping-configure", module(TRAPPING_CONFIGURE, &resolve, world)?)];
    for name in FIXTURES {
        let file = root.join("tests/fixtures/wat").join(name).with_extension("wat");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        modules.push((name, module(&text, &resolve, world).context(name)?));
    }
    Ok(modules)
}

fn module(text: &str, resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(text)?;
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}
