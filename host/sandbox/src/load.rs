//! From the bytes of a file to a program whose imports and exports are those of the contract.

use std::borrow::Cow;
use std::path::Path;

use wasmparser::{Parser, Payload};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Lower};
use wit_component::ComponentEncoder;

use super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::bindings::pace::plugin::http::Verdict;
use super::capability;
use super::code::Code;
use super::compiler::{CompileError, Compiled};
use super::contract;
use super::describe;
use super::direct;
use super::engine::{Allocation, Environment, Runtime};
use super::error::{LoadError, Side, WrongType};
use super::guest::Guest;
use pace_base::escape::{Quoted, Shown};
use pace_base::file::{self, ReadError};
use pace_hook::CONTRACT;
use pace_hook::{Hook, Hooks};

/// No plugin is larger: a JavaScript engine takes 12 MB, a Python interpreter 18.
const MAX_SIZE: u64 = 32 << 20;

/// A compiled plugin that fits the contract, without configuration.
pub struct Program {
    pub(super) environment: Environment,
    pub(super) code: Code,
    /// What it imports and exports. The code is here too, or only in `code`.
    shape: Component,
    pub(super) hooks: Hooks,
}

impl Program {
    /// Compiles and checks a component, or a core module that carries its component type.
    pub fn load(runtime: &Runtime, allocation: Allocation, bytes: &[u8]) -> Result<Program, LoadError> {
        let environment = environment(runtime, allocation)?;
        let compiled = Compiled::new(&environment.engine, &environment.imports, bytes)?;
        Program::link(&environment, bytes, compiled)
    }

    /// Checks what was compiled of these bytes, and gives it what it imports.
    pub(super) fn link(
        runtime: &Environment,
        bytes: &[u8],
        compiled: Compiled,
    ) -> Result<Program, LoadError> {
        let Compiled { shape, module } = compiled;
        check_imports(runtime, &shape)?;
        let in_words = |problem| match component(bytes) {
            Ok(component) => contract::in_words(&component, problem),
            Err(_) => problem,
        };
        let hooks = check_exports(runtime, &shape).map_err(in_words)?;
        // Also what runs directly is linked as a component: that checks the types of its imports.
        let linked = link(runtime, &shape).map_err(in_words)?;
        let code = match module {
            None => Code::component(linked, hooks).map_err(invalid)?,
            Some(module) => Code::Direct(runtime.imports.link(&module).map_err(invalid)?),
        };
        Ok(Program {
            environment: runtime.clone(),
            code,
            shape,
            hooks,
        })
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// `component`, or `module` if it is a component around one module and is run without that.
    pub fn runs(&self) -> &'static str {
        match self.code {
            Code::Component(..) => "component",
            Code::Direct(_) => "module",
        }
    }

    /// The interfaces that it imports, in alphabetical order.
    pub fn imports(&self) -> Vec<Shown> {
        let mut names: Vec<Shown> = self
            .shape
            .component_type()
            .imports(&self.environment.engine)
            .map(|(name, _)| Shown::new(name))
            .collect();
        names.sort();
        names
    }
}

/// Reads a plugin's file, if it is one and not larger than any plugin.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    file::read(path, MAX_SIZE).map_err(|error| match error {
        ReadError::System(source) => LoadError::Unreadable {
            path: path.to_owned(),
            source,
        },
        ReadError::NotRegular => LoadError::NotAFile(path.to_owned()),
        ReadError::TooLarge { found, allowed } => LoadError::TooLarge { found, allowed },
    })
}

/// What a plugin's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component.
    Component,
    /// A core module that may carry the type of a component, from which Pace makes one.
    CoreModule,
}

/// The component that a file is, or that is made of it.
///
/// # Errors
///
/// It is neither a component nor a core module that carries its component type.
pub fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
    match kind(bytes)? {
        Kind::Component => Ok(Cow::Borrowed(bytes)),
        Kind::CoreModule => componentize(bytes).map(Cow::Owned),
    }
}

/// Where programs of this allocation are compiled.
pub(super) fn environment(runtime: &Runtime, allocation: Allocation) -> Result<Environment, LoadError> {
    runtime
        .environment(allocation)
        .map_err(|error| LoadError::NoEngine(format!("{error:#}")))
}

/// Compiles a component, which need not fit the contract.
pub(super) fn compile(environment: &Environment, component: &[u8]) -> Result<Component, LoadError> {
    Component::new(&environment.engine, component).map_err(invalid)
}

fn invalid(error: wasmtime::Error) -> LoadError {
    CompileError::from(error).into()
}

/// Where an ELF file says for which system it is (`EI_OSABI`), wasmtime's say this: `ELFOSABI_WASMTIME`.
const WASMTIMES_OWN: u8 = 200;

const COMPILES_ITSELF: &str = "Pace compiles plugins itself and runs no code from elsewhere: put the component or \
                               core module in its place";

/// The first eight bytes tell: `\0asm`, a version, and a layer (0: core module, 1: component).
pub(super) fn kind(bytes: &[u8]) -> Result<Kind, CompileError> {
    match bytes {
        [] => Err(CompileError::NotWasm(Shown::new("the file is empty"))),
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(Kind::Component),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => Ok(Kind::CoreModule),
        _ if b"\0asm".starts_with(bytes) || bytes.starts_with(b"\0asm") => Err(CompileError::NotWasm(
            Shown::new("the file ends or breaks within its first eight bytes"),
        )),
        [0x7f, b'E', b'L', b'F', _, _, _, WASMTIMES_OWN, ..] => Err(CompileError::NotWasm(Shown::new(
            format_args!("it is code that wasmtime has compiled before; {COMPILES_ITSELF}"),
        ))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(CompileError::NotWasm(Shown::new(format_args!(
            "it is compressed by zstd, as compiled code in `cache_dir` is; {COMPILES_ITSELF}"
        )))),
        _ => {
            let start = &bytes[..bytes.len().min(8)];
            Err(CompileError::NotWasm(Shown::new(format_args!(
                "it begins with {}",
                Quoted(start)
            ))))
        }
    }
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut has_type = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload =
            payload.map_err(|error| CompileError::Invalid(Shown::new(format_args!("{error:#}"))))?;
        has_type |= matches!(payload, Payload::CustomSection(section) if section.name().starts_with("component-type"));
    }
    if !has_type {
        return Err(CompileError::NoComponentType);
    }
    let encoder = ComponentEncoder::default()
        .module(module)
        .map_err(|error| CompileError::NotComponentizable(Shown::new(format_args!("{error:#}"))))?;
    let component = encoder
        .validate(false)
        .encode()
        .map_err(|error| CompileError::NotComponentizable(Shown::new(format_args!("{error:#}"))))?;
    Ok(component)
}

/// Gives a component what it imports.
pub(super) fn link(
    environment: &Environment,
    component: &Component,
) -> Result<InstancePre<Guest>, LoadError> {
    let linker = capability::wasi::add(&environment.linker, &environment.engine, component);
    linker
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(|error| LoadError::ImportType(Shown::new(format_args!("{error:#}"))))
}

/// Whether each import is an interface that Pace has. That its functions have the right types is checked
/// when the program is linked.
fn check_imports(runtime: &Environment, component: &Component) -> Result<(), LoadError> {
    let imports = component.component_type();
    let mut imports = imports.imports(&runtime.engine);
    match imports.find_map(|(name, _)| import_problem(name)) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// Why an import cannot be had, if it cannot.
pub(super) fn import_problem(name: &str) -> Option<LoadError> {
    if capability::INTERFACES.contains(&name) || capability::wasi::has(name) {
        return None;
    }
    if let Some(found) = other_contract(name) {
        return Some(found);
    }
    let why = if name.starts_with("pace:plugin/") {
        "the contract has no such interface; a newer Pace may have it"
    } else if name.starts_with("wasi:") {
        "of WASI, plugins get cli, clocks, filesystem, io, random and sockets in version 0.2, with nothing behind \
         them: build without this, or for wasm32-unknown-unknown"
    } else {
        "plugins are lent the interfaces of pace:plugin and nothing else, and no configuration can grant more; leave \
         out what needs it"
    };
    Some(LoadError::UnknownImport {
        import: Shown::new(name),
        why,
    })
}

/// Whether a name is of the contract's package in a version that is not ours.
pub(super) fn other_contract(name: &str) -> Option<LoadError> {
    let version = name.strip_prefix("pace:plugin/")?.split_once('@')?.1;
    let ours = CONTRACT.split_once('@')?.1;
    (version != ours).then(|| LoadError::OtherContract {
        found: Shown::new(format_args!("pace:plugin@{version}")),
        expected: CONTRACT,
    })
}

/// The interface that every plugin exports.
pub(super) const LIFECYCLE: &str = "pace:plugin/lifecycle@0.1.0";

/// A function that Pace calls.
struct Export {
    interface: Cow<'static, str>,
    function: &'static str,
    /// Its type in the words of the contract.
    signature: &'static str,
}

impl Export {
    fn of(hook: Hook) -> Export {
        Export {
            interface: direct::interface(hook.name()).into(),
            function: hook.function(),
            signature: hook.signature(),
        }
    }
}

fn check_exports(runtime: &Environment, component: &Component) -> Result<Hooks, LoadError> {
    for (name, _) in component.component_type().exports(&runtime.engine) {
        if let Some(found) = other_contract(name) {
            return Err(found);
        }
    }
    if !has_lifecycle(runtime, component)? {
        return Err(LoadError::MissingExport(LIFECYCLE));
    }
    let has = |hook| Ok(has_hook(runtime, component, hook)?.then_some(hook));
    let hooks: Result<Hooks, LoadError> = Hook::ALL
        .into_iter()
        .filter_map(|hook| has(hook).transpose())
        .collect();
    match hooks? {
        hooks if hooks.is_empty() => Err(LoadError::NoHook),
        hooks => Ok(hooks),
    }
}

/// Whether a component has what every plugin must; an error if it has another type.
pub(super) fn has_lifecycle(environment: &Environment, component: &Component) -> Result<bool, LoadError> {
    let configure = Export {
        interface: LIFECYCLE.into(),
        function: "configure",
        signature: "func(config: string) -> result<_, string>",
    };
    configure.is_there::<(String,), (Result<(), String>,)>(environment, component)
}

/// Whether a component exports a hook; an error if it does so with another type.
pub(super) fn has_hook(
    environment: &Environment,
    component: &Component,
    hook: Hook,
) -> Result<bool, LoadError> {
    let export = Export::of(hook);
    match hook {
        Hook::RequestFilter | Hook::ResponseFilter => {
            export.is_there::<(), (Verdict,)>(environment, component)
        }
        Hook::SelectUpstream => export.is_there::<(u32,), (Selection,)>(environment, component),
    }
}

impl Export {
    /// Whether the component exports it; an error if it does so with another type than the bindings have.
    fn is_there<Params, Results>(
        &self,
        runtime: &Environment,
        component: &Component,
    ) -> Result<bool, LoadError>
    where
        Params: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        let exported = component.component_type();
        let Some(interface) = exported.get_export(&runtime.engine, &self.interface) else {
            return Ok(false);
        };
        let missing = LoadError::MissingFunction {
            interface: self.interface.to_string(),
            function: self.function,
        };
        let ComponentItem::ComponentInstance(interface) = interface.ty else {
            return Err(missing);
        };
        let Some(function) = interface.get_export(&runtime.engine, self.function) else {
            return Err(missing);
        };
        let ComponentItem::ComponentFunc(function) = function.ty else {
            return Err(missing);
        };
        function
            .typecheck::<Params, Results>(&exported.instance_type())
            .map_err(|_| {
                LoadError::WrongType(Box::new(WrongType {
                    side: Side::Exports,
                    interface: self.interface.to_string(),
                    function: self.function.to_owned(),
                    expected: self.signature.to_owned(),
                    found: Shown::new(describe::function(&function)),
                    within: Vec::new(),
                }))
            })?;
        Ok(true)
    }
}
