//! The contract as a component has it, compared with the contract as it is: in the words of WIT, function by function.
//!
//! wasmtime decides whether a component fits. This module says why it does not, for a reader who has to mend the plugin.

mod words;

use std::borrow::Cow;

use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{Function, InterfaceId, Resolve, SourceMap, Type, TypeDefKind, TypeId, World, WorldItem};

use super::error::{LoadError, Side, TypeDifference, WrongType};
use pace_base::escape::Shown;
use pace_base::logging::catch_panic;
use pace_hook::CONTRACT;

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// The files in `wit/`: the path in there, and the content.
pub const CONTRACT_FILES: &[(&str, &str)] = FILES;

/// The world that has all of the contract.
const WORLD: &str = "plugin";

/// Every function that a component imports from the contract and that the contract lacks or has with another type.
///
/// The list is empty for bytes that are no component.
pub(super) fn wrong_imports(component: &[u8]) -> Vec<LoadError> {
    let Some((found, contract)) = both(component) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for (name, interface) in interfaces(&found, Side::Imports) {
        let Some(ours) = contract.interface(Side::Imports, &name) else {
            continue;
        };
        for (function, found_function) in &found.resolve.interfaces[interface].functions {
            let problem = match contract.resolve.interfaces[ours].functions.get(function) {
                None => Some(LoadError::UnknownFunction {
                    interface: name.clone(),
                    function: Shown::new(shown(function)),
                }),
                Some(expected) => compare(
                    Side::Imports,
                    &name,
                    (&contract.resolve, expected),
                    (&found.resolve, found_function),
                ),
            };
            problems.extend(problem);
        }
    }
    problems
}

/// A problem of this component, told by the names that types have in WIT if that is possible.
pub(super) fn in_words(component: &[u8], problem: LoadError) -> LoadError {
    let better = match &problem {
        LoadError::WrongType(wrong) => wrong_export(component, &wrong.interface, &wrong.function),
        LoadError::ImportType(_) => wrong_imports(component).into_iter().next(),
        _ => None,
    };
    better.unwrap_or(problem)
}

/// The error for a function that a component exports with another type than the contract's; `None` if the types are the
/// same, or if there is no such function.
fn wrong_export(component: &[u8], interface: &str, function: &str) -> Option<LoadError> {
    let (found, contract) = both(component)?;
    let of = |side: &Decoded| {
        let interface = side.interface(Side::Exports, interface)?;
        side.resolve.interfaces[interface]
            .functions
            .get(function)
            .cloned()
    };
    let (found_function, expected) = (of(&found)?, of(&contract)?);
    compare(
        Side::Exports,
        interface,
        (&contract.resolve, &expected),
        (&found.resolve, &found_function),
    )
}

/// A world, with the types and interfaces that it names.
struct Decoded {
    resolve: Resolve,
    world: World,
}

impl Decoded {
    fn interface(&self, side: Side, name: &str) -> Option<InterfaceId> {
        let mut all = interfaces(self, side);
        all.find(|(known, _)| known == name)
            .map(|(_, interface)| interface)
    }
}

/// The world of a component, and the world of the contract.
fn both(component: &[u8]) -> Option<(Decoded, Decoded)> {
    // `decode` fails for components that cannot be told in WIT, and panics for some.
    let decoded = catch_panic(|| decode(component))?;
    let DecodedWasm::Component(resolve, world) = decoded.ok()? else {
        return None;
    };
    let world = resolve.worlds[world].clone();
    Some((Decoded { resolve, world }, contract()?))
}

fn contract() -> Option<Decoded> {
    world_of_contract(WORLD)
}

fn world_of_contract(world: &str) -> Option<Decoded> {
    let mut sources = SourceMap::default();
    for (path, text) in CONTRACT_FILES {
        sources.push_str(path, *text);
    }
    let mut resolve = Resolve::default();
    let package = resolve.push_group(sources.parse().ok()?).ok()?;
    let world = resolve.select_world(&[package], Some(world)).ok()?;
    let world = resolve.worlds[world].clone();
    Some(Decoded { resolve, world })
}

/// The interfaces of the contract on one side of a world, by name.
fn interfaces(of: &Decoded, side: Side) -> impl Iterator<Item = (String, InterfaceId)> {
    let items = match side {
        Side::Imports => &of.world.imports,
        Side::Exports => &of.world.exports,
    };
    let (package, version) = CONTRACT.split_once('@').unwrap_or_default();
    items.values().filter_map(move |item| {
        let WorldItem::Interface { id, .. } = item else {
            return None;
        };
        let interface = &of.resolve.interfaces[*id];
        let name = of
            .resolve
            .id_of_name(interface.package?, interface.name.as_deref()?);
        let is_ours = name
            .strip_prefix(package)
            .is_some_and(|rest| rest.starts_with('/') && rest.ends_with(&format!("@{version}")));
        is_ours.then_some((name, *id))
    })
}

/// A function's name for people: `counter.add` for `[method]counter.add`.
fn shown(function: &str) -> Cow<'_, str> {
    match function.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(("constructor", resource)) => format!("constructor of {resource}").into(),
        Some((_, name)) => name.into(),
        None => function.into(),
    }
}

fn compare(
    side: Side,
    interface: &str,
    (contract, expected): (&Resolve, &Function),
    (component, found): (&Resolve, &Function),
) -> Option<LoadError> {
    if words::structure(contract, expected) == words::structure(component, found) {
        return None;
    }
    let mut within = Vec::new();
    let parameters = words::parameters(expected).iter().zip(words::parameters(found));
    let parameters = parameters.map(|(expected, found)| (expected.ty, found.ty));
    for (expected, found) in parameters.chain(expected.result.zip(found.result)) {
        differences((contract, expected), (component, found), &mut within);
    }
    Some(LoadError::WrongType(Box::new(WrongType {
        side,
        interface: interface.to_owned(),
        function: shown(&expected.name).into_owned(),
        expected: words::function(contract, expected),
        found: Shown::new(words::function(component, found)),
        within,
    })))
}

/// Collects the types with names, at any depth, whose definitions differ.
fn differences(
    (contract, expected): (&Resolve, Type),
    (component, found): (&Resolve, Type),
    differ: &mut Vec<TypeDifference>,
) {
    if words::resolved(contract, expected) == words::resolved(component, found) {
        return;
    }
    let (Some(expected), Some(found)) = (definition(contract, expected), definition(component, found)) else {
        return;
    };
    if let (Some(name), Some(_)) = (&contract.types[expected].name, &component.types[found].name) {
        let texts = (
            words::definition(contract, expected),
            words::definition(component, found),
        );
        let is_known = differ.iter().any(|known| known.name == *name);
        if texts.0 != texts.1 && !is_known {
            differ.push(TypeDifference {
                name: name.clone(),
                expected: texts.0,
                found: Shown::new(texts.1),
            });
        }
    }
    let parts = parts(contract, expected).into_iter().zip(parts(component, found));
    for (expected, found) in parts {
        differences((contract, expected), (component, found), differ);
    }
}

/// The definition of a type, found through all its other names; `None` for a simple type.
fn definition(resolve: &Resolve, mut of: Type) -> Option<TypeId> {
    loop {
        let Type::Id(id) = of else { return None };
        match resolve.types[id].kind {
            TypeDefKind::Type(other) => of = other,
            _ => return Some(id),
        }
    }
}

/// The types that a type consists of.
fn parts(resolve: &Resolve, id: TypeId) -> Vec<Type> {
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Tuple(tuple) => tuple.types.clone(),
        TypeDefKind::Option(of) | TypeDefKind::List(of) | TypeDefKind::FixedLengthList(of, _) => vec![*of],
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
        TypeDefKind::Map(key, value) => vec![*key, *value],
        TypeDefKind::Future(of) | TypeDefKind::Stream(of) => of.iter().copied().collect(),
        TypeDefKind::Type(of) => vec![*of],
        TypeDefKind::Resource
        | TypeDefKind::Handle(_)
        | TypeDefKind::Flags(_)
        | TypeDefKind::Enum(_)
        | TypeDefKind::Unknown => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::direct::interface;
    use super::super::load::LIFECYCLE;
    use super::*;
    use pace_hook::Hook;

    #[test]
    fn contract_has_imports_and_exports() {
        let contract = contract().expect("it is valid, or nothing here would be built");
        for side in [Side::Imports, Side::Exports] {
            let names: Vec<String> = interfaces(&contract, side).map(|(name, _)| name).collect();
            assert!(names.len() >= 4, "{names:?}");
        }
    }

    #[test]
    fn hooks_have_names_types_and_worlds_of_the_contract() {
        let exports = |world: &str| {
            let world = world_of_contract(world).expect("the contract has it");
            let mut exports: Vec<_> = interfaces(&world, Side::Exports)
                .filter(|(name, _)| name != LIFECYCLE)
                .flat_map(|(name, interface)| {
                    let functions = world.resolve.interfaces[interface].functions.values();
                    let told = |function| words::function(&world.resolve, function);
                    let functions = functions.map(|function| (function.name.clone(), told(function)));
                    functions
                        .map(|(function, told)| (name.clone(), function, told))
                        .collect::<Vec<_>>()
                })
                .collect();
            exports.sort();
            exports
        };
        let told = |hook: Hook| {
            let functions = hook.functions().iter();
            let told = functions.map(|(function, signature)| {
                (
                    interface(hook.name()),
                    (*function).to_owned(),
                    (*signature).to_owned(),
                )
            });
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        for hook in Hook::ALL {
            assert_eq!(exports(hook.world()), told(hook), "{hook:?}");
        }
        let mut all = Hook::ALL.map(told).concat();
        all.sort();
        assert_eq!(exports(WORLD), all);
    }

    #[test]
    fn component_without_wit_has_no_wrong_imports() {
        let component = wat::parse_str(r#"(component (import "url=<https://example.com>" (func)))"#);
        let component = component.expect("it is WebAssembly in its text form");
        assert!(wrong_imports(&component).is_empty());
    }

    #[test]
    fn functions_of_resources_are_shown_without_brackets() {
        assert_eq!(shown("[method]counter.add"), "counter.add");
        assert_eq!(shown("[static]counter.open"), "counter.open");
        assert_eq!(shown("[constructor]counter"), "constructor of counter");
        assert_eq!(shown("header"), "header");
    }
}
