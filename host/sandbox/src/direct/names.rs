//! The names of a module's imports and exports, which decide how `wit-component` wires them.

use wasmparser::{Parser, Payload, TypeRef};

use super::imports::Imports;
use super::own;
use pace_hook::CONTRACT;
use pace_hook::Hook;

/// The name of an interface of the contract in a module's imports and exports.
pub(in super::super) fn interface(name: &str) -> String {
    let (package, version) = CONTRACT.split_once('@').expect("the contract has a version");
    format!("{package}/{name}@{version}")
}

/// The name of a function of the contract in a module's exports.
pub(super) fn exported(of: &str, function: &str) -> String {
    format!("{}#{function}", interface(of))
}

/// The name of the function that drops an object of a hook's resource, if the hook has one.
pub(super) fn destructor(of: Hook) -> Option<String> {
    let resource = own::resource(of)?;
    Some(exported(of.name(), &format!("[dtor]{resource}")))
}

/// The interface from which a module imports the functions for handles to its own resource.
pub(super) fn own_interface(of: Hook) -> String {
    format!("[export]{}", interface(of.name()))
}

/// Names that mean something to `wit-component` and nothing to Pace: other allocators, and functions that are called
/// when the component starts.
const OF_THE_WRAPPING: [&str; 7] = [
    "canonical_abi_realloc",
    "cabi_export_realloc",
    "cabi_import_realloc",
    "cabi_realloc_adapter",
    "_initialize",
    "__wasm_init_task",
    "__wasm_init_async_task",
];

/// Prefixes of further names of that kind: of functions that are called in another way (`[async-lift]`), of other
/// spellings, and of functions that free the results of functions that are not the contract's.
const PREFIXES: [&str; 3] = ["[", "cm32p2", "cabi_post_"];

/// Whether a module can be run by itself: its imports are functions of the contract, its exports to the wrapping are
/// functions that Pace calls, and its memory is addressed by 32 bits.
pub(super) fn are_plain(module: &[u8], imports: &Imports) -> bool {
    Parser::new(0)
        .parse_all(module)
        .all(|payload| payload.is_ok_and(|payload| is_plain(payload, imports) == Some(true)))
}

/// Whether a part of a module lets it run by itself; `None` if the part cannot be read.
fn is_plain(payload: Payload<'_>, imports: &Imports) -> Option<bool> {
    Some(match payload {
        Payload::ImportSection(section) => {
            let mut all = section.into_imports();
            all.all(|import| {
                import.is_ok_and(|import| {
                    matches!(import.ty, TypeRef::Func(_)) && imports.has(import.module, import.name)
                })
            })
        }
        Payload::ExportSection(section) => section
            .into_iter()
            .all(|export| export.is_ok_and(|export| is_plain_export(export.name))),
        Payload::MemorySection(section) => section
            .into_iter()
            .all(|memory| memory.is_ok_and(|memory| !memory.memory64 && !memory.shared)),
        _ => true,
    })
}

/// Whether an export is one that Pace uses, or one that neither Pace nor the wrapping uses. All exports to interfaces
/// have a `#` in their names.
fn is_plain_export(name: &str) -> bool {
    let function = name.strip_prefix("cabi_post_").unwrap_or(name);
    let is_hook = |hook: Hook| {
        let mut functions = hook.functions().iter();
        functions.any(|(name, _)| exported(hook.name(), name) == function)
    };
    let is_destructor = |hook: Hook| destructor(hook).is_some_and(|destructor| destructor == name);
    let ours = Hook::ALL.into_iter().any(is_hook)
        || Hook::ALL.into_iter().any(is_destructor)
        || exported("lifecycle", "configure") == function;
    let of_wrapping = name.contains('#')
        || OF_THE_WRAPPING.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    ours || !of_wrapping
}
