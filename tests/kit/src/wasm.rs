//! Paths and bytes of `.wasm` files: those that `cargo xtask plugins` builds, and some made here.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::StringEncoding;
use wit_parser::{ManglingAndAbi, Resolve, SourceMap};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is `tests/kit` of the repository")
}

/// The directory in which the tests keep compiled plugins.
pub(crate) fn compiled_code() -> PathBuf {
    root().join("target/compiled-plugins")
}

/// The path of a plugin that misbehaves: `tests/fixtures/examples/NAME.rs` as a component.
pub fn fixture(name: &str) -> PathBuf {
    built(&format!("fixtures/{name}.wasm"))
}

/// The path of a default plugin as a component.
pub fn component(name: &str) -> PathBuf {
    built(&format!("{name}.wasm"))
}

/// The path of a cookbook plugin, `plugins/cookbook/NAME`, as a component.
pub fn recipe(name: &str) -> PathBuf {
    built(&format!("cookbook/{name}.wasm"))
}

/// The path of a default plugin as the compiler leaves it: a core module with the type of a component in a
/// section.
pub fn core_module(name: &str) -> PathBuf {
    built(&format!("core/{name}.wasm"))
}

/// A plugin that Rust cannot express, or not as small: `tests/fixtures/wat/NAME.wat` as a core module with
/// the type of a component.
pub fn text_fixture(name: &str) -> Vec<u8> {
    let file = root().join("tests/fixtures/wat").join(name).with_extension("wat");
    text_plugin(&fs::read_to_string(file).expect("it is a text"))
}

/// A core module with the type of a component, like [`text_fixture`], from a text that a test has.
pub fn text_plugin(text: &str) -> Vec<u8> {
    let mut module = text_module(text);
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(root().join("wit"))
        .expect("the contract is valid");
    let world = resolve
        .select_world(&[package], Some("request-filtering"))
        .expect("the contract has this world");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a type can be embedded in any module");
    module
}

/// A plugin of 4 KB that takes a compiler gigabytes: a thousand values go round each of four hundred nested
/// loops. It lets every request pass.
pub fn exhausts_compiler() -> Vec<u8> {
    const LOOPS: usize = 400;
    let values = "i64 ".repeat(1000);
    let (begin, end) = ("loop (type $wide) ".repeat(LOOPS), "end ".repeat(LOOPS));
    let pass = fs::read_to_string(root().join("tests/fixtures/wat/pass.wat")).expect("it is a text");
    let (head, _) = pass.rsplit_once(')').expect("it ends with one");
    text_plugin(&format!(
        "{head}
         (type $many (func (result {values})))
         (type $wide (func (param {values}) (result {values})))
         (func $values (type $many) unreachable)
         (func call $values {begin} {end} unreachable))"
    ))
}

/// A plugin built for a contract that differs from `wit/`: each difference is a text of the contract and its
/// replacement. The plugin has every hook, imports every function, and is a core module with the type of a
/// component.
pub fn built_for(differences: &[(&str, &str)]) -> Vec<u8> {
    let mut texts: Vec<(String, String)> = fs::read_dir(root().join("wit"))
        .expect("the contract is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it is a text");
            (path.to_string_lossy().into_owned(), text)
        })
        .collect();
    for (from, to) in differences {
        let changed = texts.iter_mut().filter(|(_, text)| text.contains(from));
        let changes = changed
            .map(|(_, text)| *text = text.replacen(from, to, 1))
            .count();
        assert!(changes > 0, "the contract has {from:?}");
    }
    let mut sources = SourceMap::default();
    for (path, text) in &texts {
        sources.push_str(path, text.as_str());
    }
    let mut resolve = Resolve::default();
    let group = sources.parse().map_err(|(_, error)| error).expect("it is WIT");
    let package = resolve.push_group(group).expect("its names are there");
    let world = resolve
        .select_world(&[package], Some("plugin"))
        .expect("it has all of the contract");
    let mut module = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a type can be embedded in any module");
    module
}

/// WebAssembly in its text form, which need not be a plugin.
pub fn text_module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it is WebAssembly in its text form")
}

/// A component that takes long to compile and is no plugin: its only module has thousands of long functions.
pub fn slow_to_compile() -> Vec<u8> {
    const FUNCTIONS: usize = 4000;
    const STEPS: u32 = 800;
    // `local.get 0`, `i64.const 3`, `i64.mul`, `local.tee 0`, `drop`
    let step = [0x20, 0, 0x42, 3, 0x7e, 0x22, 0, 0x1a];
    let mut body = vec![0];
    (0..STEPS).for_each(|_| body.extend(step));
    body.extend([0x20, 0, 0x0b]);
    let function = sized(&body);
    let mut code = leb128(FUNCTIONS);
    (0..FUNCTIONS).for_each(|_| code.extend(&function));
    let mut types = leb128(FUNCTIONS);
    (0..FUNCTIONS).for_each(|_| types.push(0));
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7e, 1, 0x7e]),
        section(3, &types),
        section(10, &code),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// `content` with its length before it.
fn sized(content: &[u8]) -> Vec<u8> {
    [leb128(content.len()), content.to_vec()].concat()
}

/// A number in WebAssembly's LEB128: seven bits in each byte, the lowest first, and one that says whether
/// more follow.
pub fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The same plugin in other bytes: a custom section with `number` is added to it.
pub fn edition(of: &Path, number: u8) -> Vec<u8> {
    with_section(&fs::read(of).expect("it has been built"), &[number])
}

/// The same plugin with a custom section at the end, which has no meaning. The content has at most 100 bytes.
pub fn with_section(plugin: &[u8], content: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"test";
    let length = 1 + NAME.len() + content.len();
    let header = [0, length as u8, NAME.len() as u8];
    [plugin, &header, NAME, content].concat()
}

fn built(file: &str) -> PathBuf {
    let path = root().join("target/plugins").join(file);
    assert!(
        path.is_file(),
        "{} has not been built: run `cargo xtask test`, or `cargo xtask plugins`",
        path.display()
    );
    path
}
