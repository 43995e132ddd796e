//! Tests of direct running: which components run directly, and that they run as components do.

mod anything;
mod both;
mod extract;
mod handles;
pub(crate) mod heads;
mod puppet;
mod rules;

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

/// A module with the exports that every plugin has and a filter, with these imports and these further functions.
fn module(imports: &str, more: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 2048)
            (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) i32.const 64)
            (func $filter (export "pace:plugin/request-filter@0.1.0#filter") (result i32) i32.const 64)
            {more})"#
    )
}

fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_dir(directory).expect("the contract is valid");
    (resolve, package)
}

/// The component that `wit-component` makes of a module with the hook `request-filter`.
fn component(text: &str) -> Vec<u8> {
    encoded(text, StringEncoding::UTF8)
}

fn encoded(text: &str, encoding: StringEncoding) -> Vec<u8> {
    wrapped(text, "request-filtering", encoding)
}

/// The component that `wit-component` makes of a module of a world of the contract.
pub(crate) fn wrapped(text: &str, world: &str, encoding: StringEncoding) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is valid");
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some(world));
    let world = world.expect("the contract has this world");
    embed_component_metadata(&mut module, &resolve, world, encoding).expect("any module can have a type");
    let encoder = ComponentEncoder::default().module(&module);
    let encoded = encoder.and_then(|mut encoder| encoder.encode());
    encoded.expect("it is a component")
}
