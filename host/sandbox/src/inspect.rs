//! Inspection of a file, whether or not it can be used.

use super::contract;
use super::engine::{Allocation, Platform, Runtime};
use super::error::LoadError;
use super::load::{self, Kind};
use pace_base::escape::Shown;
use pace_hook::Hook;
use wasmtime::component::Component;

/// The facts about a plugin's file that are known without running it.
pub struct Inspection {
    /// The kind of the file.
    pub kind: Kind,
    /// The versions of the contract's package that the file names: more than one if versions are mixed.
    pub contracts: Vec<Shown>,
    /// The hooks that it exports, hooks of the wrong type included.
    pub hooks: Vec<Hook>,
    /// The interfaces that it imports, in alphabetical order.
    pub imports: Vec<Shown>,
    /// Everything that keeps it from running here; empty if it can run.
    pub problems: Vec<LoadError>,
}

impl Inspection {
    /// Inspects a component, or a core module that carries its component type.
    ///
    /// # Errors
    ///
    /// The file is not WebAssembly, or no component can be made of it, so there is nothing to inspect.
    pub fn of(runtime: &Runtime, bytes: &[u8]) -> Result<Inspection, LoadError> {
        let platform = &load::platform(runtime, Allocation::OnDemand)?;
        let kind = load::kind(bytes)?;
        let bytes = load::component(bytes)?;
        let component = load::compile(platform, &bytes)?;
        let of_component = component.component_type();
        let mut imports: Vec<String> = of_component
            .imports(&platform.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        imports.sort();
        let exports: Vec<String> = of_component
            .exports(&platform.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut contracts: Vec<String> = imports
            .iter()
            .chain(&exports)
            .filter_map(|name| contract(name))
            .collect();
        contracts.sort();
        contracts.dedup();
        let problems = problems(platform, (&component, &bytes), &imports, &exports);
        Ok(Inspection {
            kind,
            contracts: contracts.iter().map(Shown::new).collect(),
            hooks: Hook::ALL
                .into_iter()
                .filter(|hook| exports.iter().any(|name| interface(name) == Some(hook.name())))
                .collect(),
            imports: imports.iter().map(Shown::new).collect(),
            problems,
        })
    }

    /// The imported interfaces that are WASI's.
    pub fn wasi(&self) -> impl Iterator<Item = &str> {
        let is_wasi = |name: &&str| name.starts_with("wasi:");
        self.imports.iter().map(Shown::as_str).filter(is_wasi)
    }
}

/// The interface of the contract in a name, without its version.
fn interface(name: &str) -> Option<&str> {
    let (interface, _) = name.strip_prefix("pace:plugin/")?.split_once('@')?;
    Some(interface)
}

/// The contract's package in a name, with its version.
fn contract(name: &str) -> Option<String> {
    let (_, version) = name.strip_prefix("pace:plugin/")?.split_once('@')?;
    Some(format!("pace:plugin@{version}"))
}

fn problems(
    platform: &Platform,
    (component, bytes): (&Component, &[u8]),
    imports: &[String],
    exports: &[String],
) -> Vec<LoadError> {
    let mut problems: Vec<LoadError> = Vec::new();
    // Another version of the contract is one problem, not one for each interface.
    let mut other_contract = false;
    for name in imports.iter().chain(exports) {
        if let Some(problem) = load::other_contract(name) {
            if !other_contract {
                problems.push(problem);
            }
            other_contract = true;
        }
    }
    let ours = |name: &&String| load::other_contract(name).is_none();
    problems.extend(
        imports
            .iter()
            .filter(ours)
            .filter_map(|name| load::import_problem(name)),
    );
    problems.extend(contract::wrong_imports(bytes));
    if other_contract {
        // Exports of another contract have no types to compare with.
        return problems;
    }
    match load::has_lifecycle(platform, component) {
        Ok(true) => {}
        Ok(false) => problems.push(LoadError::MissingExport(load::LIFECYCLE)),
        Err(problem) => problems.push(contract::in_words(bytes, problem)),
    }
    let mut hooks = 0;
    for hook in Hook::ALL {
        match load::has_hook(platform, component, hook) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(problem) => problems.push(contract::in_words(bytes, problem)),
        }
        hooks += 1;
    }
    if hooks == 0 {
        problems.push(LoadError::NoHook);
    }
    // The linker has the last word on imports, but names only one of them.
    if problems.is_empty()
        && let Err(problem) = load::link(platform, component)
    {
        problems.push(problem);
    }
    problems
}
