//! Extraction: from a component to the one module that it wraps.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::ManglingAndAbi;

use super::super::ahead;
use super::imports::Imports;
use super::names;

/// A component taken apart.
pub(in super::super) struct Extracted {
    /// The module, whose imports and exports have the names of the contract.
    pub(in super::super) module: Vec<u8>,
    /// A component of the same type with next to no code, which tells the type without compiling the module twice.
    pub(in super::super) shape: Vec<u8>,
}

/// The module of a component that is, apart from custom sections, byte for byte the output of `wit-component` for that
/// module and the component's type. `None` for all other components, and if there is any doubt.
///
/// Such a component does nothing but wrap, for these reasons:
///
/// 1. Its sections are those of another run of `wit-component`, so it is wired as that tool does it: each import of the
///    module to the function of its name, and each hook to the export of its name.
/// 2. Of the names that mean something to the tool, the module has only those whose meaning is written down in
///    [`names`]. So no two of them compete, nothing is called but the hooks, and there is one allocator.
/// 3. Strings are UTF-8 in both, because the sections say so.
pub(in super::super) fn extract(component: &[u8], imports: &Imports) -> Option<Extracted> {
    // Comparing the parts below shows that there is no second module.
    let module = component.get(ahead::first_module(component)?)?;
    if !names::are_plain(module, imports) {
        return None;
    }
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).ok()? else {
        return None;
    };
    let wrap = |module: &[u8]| {
        let mut module = module.to_vec();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).ok()?;
        let encoder = ComponentEncoder::default().module(&module).ok()?;
        encoder.validate(false).encode().ok()
    };
    if parts(&wrap(module)?)? != parts(component)? {
        return None;
    }
    let shape = wrap(&dummy_module(&resolve, world, ManglingAndAbi::Standard32))?;
    Some(Extracted {
        module: module.to_vec(),
        shape,
    })
}

/// A part of a module or component.
#[derive(PartialEq)]
enum Part<'w> {
    Begin(wasmparser::Encoding),
    Section(u8, &'w [u8]),
    End,
}

/// The parts of a component, and of the modules and components in it, in order. Custom sections are left out: they mean
/// nothing to code that runs.
fn parts(wasm: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        match payload {
            Payload::CustomSection(_) => {}
            // The parts inside follow by themselves, without custom sections.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {}
            Payload::Version { encoding, .. } => parts.push(Part::Begin(encoding)),
            Payload::End(_) => parts.push(Part::End),
            _ => {
                if let Some((kind, range)) = payload.as_section() {
                    parts.push(Part::Section(kind, wasm.get(range)?));
                }
            }
        }
    }
    Some(parts)
}
