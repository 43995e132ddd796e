//! Components that look like a wrapped module and are not.

use std::ops::Range;
use std::sync::LazyLock;

use proptest::prelude::*;
use wasmparser::{Parser, Payload};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};
use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi};

use super::{component, contract, encoded, module};
use crate::direct::extract::extract;
use crate::direct::imports::Imports;

/// Two functions of the same type with names of the same length, and one that needs memory and allocator.
const IMPORTS: &str = r#"
    (import "pace:plugin/upstreams@0.1.0" "weight" (func (param i32) (result i32)))
    (import "pace:plugin/upstreams@0.1.0" "health" (func (param i32) (result i32)))
    (import "pace:plugin/request@0.1.0" "method" (func (param i32)))
"#;

/// Exports that could be taken for those that are wired, with names of the same length.
const DECOYS: &str = r#"
    (memory (export "memorY") 1)
    (func (export "cabi_realloC") (param i32 i32 i32 i32) (result i32) i32.const 4096)
    (func (export "pace:plugin/request-filter@0.1.0.filter") (result i32) i32.const 64)
    (func (export "cabi_post_pace:plugin/request-filter@0.1.0#filter") (param i32))
    (func (export "cabi_pOst_pace:plugin/request-filter@0.1.0.filter") (param i32))
"#;

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);
static ALL: LazyLock<Imports> = LazyLock::new(|| Imports::new(&ENGINE).expect("the contract can be linked"));

fn runs_directly(component: &[u8]) -> bool {
    let extracted = extract(component, &ALL);
    if let Some(extracted) = &extracted {
        Component::new(&ENGINE, component).expect("what is run is a component");
        let module = Module::new(&ENGINE, &extracted.module).expect("it is valid as a part of it");
        ALL.link(&module).expect("it imports what there is");
    }
    extracted.is_some()
}

/// Asserts that wasmtime takes a component, and that it does not run as its module.
#[track_caller]
fn runs_as_a_component(component: &[u8]) {
    Component::new(&ENGINE, component).expect("the attempt is a valid component");
    assert!(!runs_directly(component));
}

/// The places of sections of some kind in the component itself, not in its parts.
fn sections(component: &[u8], wanted: impl Fn(&Payload<'_>) -> bool) -> Vec<Range<usize>> {
    let mut depth = 0;
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.expect("it is valid");
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ if depth == 1 && wanted(&payload) => found.extend(payload.as_section().map(|(_, range)| range)),
            _ => {}
        }
    }
    assert!(!found.is_empty(), "there are such sections");
    found
}

/// The component with two names of the same length exchanged among those that its wrapping takes from instances.
fn rewired(component: &[u8], one: &str, other: &str) -> Vec<u8> {
    assert_eq!(one.len(), other.len());
    let mut rewired = component.to_vec();
    let mut exchanged = 0;
    for section in sections(component, |payload| {
        matches!(payload, Payload::ComponentAliasSection(_))
    }) {
        for at in section.clone() {
            let Some(found) = rewired.get_mut(at..at + one.len()) else {
                continue;
            };
            // The length is before the name, which tells it from a part of a longer one.
            if usize::from(component[at - 1]) != one.len() {
                continue;
            }
            if found == one.as_bytes() {
                found.copy_from_slice(other.as_bytes());
                exchanged += 1;
            } else if found == other.as_bytes() {
                found.copy_from_slice(one.as_bytes());
                exchanged += 1;
            }
        }
    }
    assert!(exchanged > 0, "{one} is taken from an instance");
    rewired
}

/// The component with one more section at its end.
fn with_section(component: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("it is short");
    [component, &[kind, length], content].concat()
}

#[test]
fn module_that_is_only_wrapped_runs_directly() {
    let plain = component(&module(IMPORTS, ""));
    assert!(runs_directly(&plain));
    let custom = with_section(&plain, 0, b"\x04name");
    assert!(runs_directly(&custom), "custom sections mean nothing");
    let own = r#"(func (export "mine")) (table (export "__indirect_function_table") 1 funcref)
        (global (export "__heap_base") i32 (i32.const 0)) (func (export "cabi_realloc_of_mine"))"#;
    assert!(
        runs_directly(&component(&module(IMPORTS, own))),
        "what nobody uses is the module's own"
    );
    let start = "(func $first) (start $first)";
    assert!(runs_directly(&component(&module(IMPORTS, start))));
    assert!(runs_directly(&component(&module(IMPORTS, DECOYS))));
}

#[test]
fn every_function_of_the_contract_can_be_linked() {
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("plugin"));
    let world = world.expect("the contract has this world");
    let dummy = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    let module = Module::new(&ENGINE, dummy).expect("it is valid");
    assert!(module.imports().len() > 40, "there are some");
    ALL.link(&module).expect("each has its name and its type");
}

#[test]
fn import_wired_to_another_function_of_its_type_runs_as_a_component() {
    let plain = component(&module(IMPORTS, ""));
    runs_as_a_component(&rewired(&plain, "weight", "health"));
}

#[test]
fn hook_wired_to_another_export_of_its_type_runs_as_a_component() {
    let plain = component(&module(IMPORTS, DECOYS));
    let hook = "pace:plugin/request-filter@0.1.0#filter";
    runs_as_a_component(&rewired(&plain, hook, &hook.replace('#', ".")));
    let freed = format!("cabi_post_{hook}");
    let decoy = freed.replace("post", "pOst").replace('#', ".");
    runs_as_a_component(&rewired(&plain, &freed, &decoy));
}

#[test]
fn wiring_to_another_memory_or_allocator_runs_as_a_component() {
    let plain = component(&module(IMPORTS, DECOYS));
    runs_as_a_component(&rewired(&plain, "memory", "memorY"));
    runs_as_a_component(&rewired(&plain, "cabi_realloc", "cabi_realloC"));
}

#[test]
fn strings_in_another_encoding_run_as_a_component() {
    for encoding in [StringEncoding::UTF16, StringEncoding::CompactUTF16] {
        runs_as_a_component(&encoded(&module(IMPORTS, ""), encoding));
    }
}

/// The module inside says that its strings are UTF-16, and the wrapping that they are UTF-8.
#[test]
fn module_that_names_another_encoding_than_its_wrapping_runs_as_a_component() {
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("request-filtering"));
    let mut typed = wat::parse_str(module(IMPORTS, "")).expect("the text is valid");
    let before = typed.len();
    let world = world.expect("the contract has this world");
    embed_component_metadata(&mut typed, &resolve, world, StringEncoding::UTF16).expect("it can have a type");
    let section = &typed[before..];

    let plain = component(&module(IMPORTS, ""));
    let of_module = &sections(&plain, |payload| matches!(payload, Payload::ModuleSection { .. }))[0];
    let length = of_module.len() + section.len();
    // A module section, with its length as LEB128 of five bytes.
    let leb = |length: usize| {
        std::array::from_fn::<u8, 5, _>(|n| (length >> (7 * n)) as u8 & 0x7f | if n < 4 { 0x80 } else { 0 })
    };
    let header = of_module.start - 1 - leb_length(of_module.len());
    let patched = [
        &plain[..header],
        &[1],
        &leb(length),
        &plain[of_module.clone()],
        section,
        &plain[of_module.end..],
    ];
    runs_as_a_component(&patched.concat());
}

fn leb_length(number: usize) -> usize {
    number.max(1).ilog2() as usize / 7 + 1
}

#[test]
fn module_with_other_allocators_runs_as_a_component() {
    for name in [
        "canonical_abi_realloc",
        "cabi_import_realloc",
        "cabi_export_realloc",
    ] {
        let more = format!("(func (export {name:?}) (param i32 i32 i32 i32) (result i32) i32.const 4096)");
        runs_as_a_component(&component(&module(IMPORTS, &more)));
    }
}

#[test]
fn module_called_by_its_wrapping_at_the_start_runs_as_a_component() {
    let more = r#"(func (export "_initialize"))"#;
    runs_as_a_component(&component(&module(IMPORTS, more)));
    let more = r#"(func (export "__wasm_init_task")) (func (export "__wasm_init_async_task"))"#;
    runs_as_a_component(&component(&module(IMPORTS, more)));
}

#[test]
fn module_with_another_spelling_of_names_runs_as_a_component() {
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("request-filtering"));
    let world = world.expect("the contract has this world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it can have a type");
    let encoder = wit_component::ComponentEncoder::default().module(&module);
    let component = encoder.and_then(|mut encoder| encoder.encode());
    runs_as_a_component(&component.expect("it is a component"));
}

/// `wit-component` takes an import of a later version for the version of the contract, and the host does not.
#[test]
fn module_importing_from_a_later_version_runs_as_a_component() {
    let later = IMPORTS.replace("request@0.1.0", "request@0.1.7");
    runs_as_a_component(&component(&module(&later, "")));
}

/// `wit-component` gives the second import another name.
#[test]
fn module_importing_a_function_twice_runs_as_a_component() {
    let twice = format!("{IMPORTS}{IMPORTS}");
    runs_as_a_component(&component(&module(&twice, "")));
}

#[test]
fn component_with_more_sections_runs_as_a_component() {
    let plain = component(&module(IMPORTS, ""));
    let core_module = b"\0asm\x01\0\0\0";
    runs_as_a_component(&with_section(&plain, 1, core_module));
    let component_inside = b"\0asm\x0d\0\x01\0";
    runs_as_a_component(&with_section(&plain, 4, component_inside));
    // A component type that nothing uses.
    runs_as_a_component(&with_section(&plain, 7, &[1, 0x41, 0]));
    // Another core instance. One of the first module, made of nothing, would not be valid, so this one has no exports.
    runs_as_a_component(&with_section(&plain, 2, &[1, 1, 0]));
}

/// Sections inside a module are told from sections behind it.
#[test]
fn sections_moved_across_the_boundary_of_their_module_do_not_run_directly() {
    let plain = component(&module("", ""));
    let module = &sections(&plain, |payload| matches!(payload, Payload::ModuleSection { .. }))[0];
    // The sections of the first module stand in the component itself.
    let inside_out = [
        &plain[..8],
        &plain[module.start + 8..module.end],
        &plain[module.end..],
    ]
    .concat();
    assert!(!runs_directly(&inside_out));
    assert!(!runs_directly(&plain[module.clone()]), "a module is no component");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// No change to a component causes a panic, and of changed components that run directly, Pace takes those that
    /// wasmtime takes as components.
    #[test]
    fn tampered_component_runs_directly_only_if_it_is_valid(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| component(&module(IMPORTS, DECOYS)));
        let mut tampered = PLAIN.clone();
        for (at, byte) in edits {
            let at = at.index(tampered.len());
            tampered[at] = byte;
        }
        if let Some(cut) = cut {
            tampered.truncate(cut.index(tampered.len()));
        }
        if let Some(extracted) = extract(&tampered, &ALL) {
            let taken = Module::new(&ENGINE, &extracted.module).is_ok()
                && Component::new(&ENGINE, &extracted.shape).is_ok();
            prop_assert_eq!(taken, Component::new(&ENGINE, &tampered).is_ok());
        }
    }
}
