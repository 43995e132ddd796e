//! From a component to the one module that it wraps.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::ManglingAndAbi;

/// A component taken apart.
pub(in super::super) struct Extracted {
    /// Its module, whose imports and exports have the names of the contract.
    pub(in super::super) module: Vec<u8>,
    /// A component of the same type with next to no code, for asking what the type is without compiling
    /// the module twice.
    pub(in super::super) shape: Vec<u8>,
}

/// The module of a component that is, apart from custom sections, byte for byte what `wit-component` makes
/// of that module and the component's type. Then each of the module's imports is wired to the function
/// whose name it has, and each hook to the export that has its name: there is no other way in which that
/// tool wires them. `None` for all other components, and if there is any doubt.
pub(in super::super) fn extract(component: &[u8]) -> Option<Extracted> {
    let module = only_module(component)?;
    if runs_code_of_its_own_accord(module) || imports_more_than_the_contract(component) {
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
    if sections(&wrap(module)?)? != sections(component)? {
        return None;
    }
    let shape = wrap(&dummy_module(&resolve, world, ManglingAndAbi::Standard32))?;
    Some(Extracted {
        module: module.to_vec(),
        shape,
    })
}

/// The first module of a component; those that `wit-component` adds follow it. That there is no further
/// one is known when the sections have been compared.
fn only_module(component: &[u8]) -> Option<&[u8]> {
    Parser::new(0)
        .parse_all(component)
        .find_map(|payload| match payload {
            Ok(Payload::ModuleSection { unchecked_range, .. }) => component.get(unchecked_range),
            _ => None,
        })
}

/// Whether it wants something of other packages, WASI for example, which only components get. What is inside
/// imports from what is around it, and comes after its imports.
fn imports_more_than_the_contract(component: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(component);
    let mut outside = payloads.map_while(|payload| match payload {
        Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) | Err(_) => None,
        Ok(payload) => Some(payload),
    });
    outside.any(|payload| match payload {
        Payload::ComponentImportSection(imports) => imports
            .into_iter()
            .any(|import| import.is_ok_and(|import| !import.name.name.starts_with("pace:plugin/"))),
        _ => false,
    })
}

/// Whether it has what only the wrapping would call: an initializer beside the start function.
fn runs_code_of_its_own_accord(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).any(|payload| match payload {
        Ok(Payload::ExportSection(exports)) => exports
            .into_iter()
            .any(|export| export.is_ok_and(|export| matches!(export.name, "_initialize" | "_start"))),
        _ => false,
    })
}

/// Kind and content of every section, those of the modules inside included, in order. Custom sections mean
/// nothing to what runs.
fn sections(wasm: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        if matches!(payload, Payload::CustomSection(_)) {
            continue;
        }
        if let Some((kind, range)) = payload.as_section() {
            let nested = matches!(
                payload,
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
            );
            // What is inside follows by itself, without its custom sections.
            let content = if nested { &[][..] } else { wasm.get(range)? };
            sections.push((kind, content));
        }
    }
    Some(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use crate::config::BUILTINS;

    fn builtins() -> impl Iterator<Item = &'static [u8]> {
        BUILTINS
            .iter()
            .map(|name| builtin::component(name).expect("it is embedded"))
    }

    /// A component of another make would run too, at three times the price, and nobody would notice.
    #[test]
    fn the_default_plugins_run_without_their_components() {
        assert!(builtins().all(|component| extract(component).is_some()));
    }

    #[test]
    fn a_section_more_makes_it_a_component_of_another_make() {
        // An empty core module, which nothing refers to.
        const MODULE: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
        for component in builtins() {
            assert!(extract(&[component, MODULE].concat()).is_none());
        }
    }

    #[test]
    fn custom_sections_mean_nothing() {
        const CUSTOM: &[u8] = b"\x00\x05\x04test";
        for component in builtins() {
            let extracted = extract(&[component, CUSTOM].concat()).expect("it runs the same code");
            assert_eq!(
                Some(extracted.module),
                extract(component).map(|known| known.module)
            );
        }
    }

    #[test]
    fn what_is_broken_or_no_component_is_left_to_others() {
        let component = builtins().next().expect("there are some");
        for length in (0..component.len()).step_by(997) {
            assert!(extract(&component[..length]).is_none(), "{length}");
        }
        assert!(extract(b"\0asm\x01\0\0\0").is_none());
    }
}
