//! Loading: from the bytes of a file to a program whose imports and exports are those of the contract.

use std::borrow::Cow;
use std::path::Path;

use wasmparser::{Parser, Payload};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Lower, ResourceAny};
use wit_component::ComponentEncoder;

use super::bindings::exports::pace::plugin::attempt_filter::Judgement;
use super::bindings::exports::pace::plugin::response_stream_filter::Opening;
use super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::bindings::pace::plugin::http::Verdict;
use super::bindings::pace::plugin::outcome::Ending;
use super::bindings::pace::plugin::streams::Step;
use super::capability;
use super::code::Code;
use super::compiler::{CompileError, Compiled};
use super::contract;
use super::describe;
use super::direct;
use super::engine::{Allocation, Platform, Runtime};
use super::error::{LoadError, Side, WrongType};
use super::guest::Guest;
use pace_base::escape::{Quoted, Shown};
use pace_base::file::{self, ReadError};
use pace_hook::CONTRACT;
use pace_hook::{Hook, Hooks};

/// The largest plugin, in bytes. A JavaScript engine takes 12 MB, a Python interpreter 18.
const MAX_SIZE: u64 = 32 << 20;

/// A compiled plugin that fits the contract, without configuration.
pub struct Program {
    pub(super) platform: Platform,
    pub(super) code: Code,
    /// A component with the program's imports and exports. It has the code too, unless only `code` has it.
    shape: Component,
    pub(super) hooks: Hooks,
}

impl Program {
    /// Compiles and checks a component, or a core module that carries its component type.
    ///
    /// # Errors
    ///
    /// The file is not a plugin that Pace can run.
    pub fn load(runtime: &Runtime, allocation: Allocation, bytes: &[u8]) -> Result<Program, LoadError> {
        let platform = platform(runtime, allocation.of_code(bytes))?;
        let compiled = Compiled::new(&platform.engine, &platform.imports, bytes)?;
        Program::link(&platform, bytes, compiled)
    }

    /// Checks the code that was compiled from these bytes, and links it with its imports.
    pub(super) fn link(platform: &Platform, bytes: &[u8], compiled: Compiled) -> Result<Program, LoadError> {
        let Compiled { shape, module } = compiled;
        check_imports(platform, &shape)?;
        let in_words = |problem| match component(bytes) {
            Ok(component) => contract::in_words(&component, problem),
            Err(_) => problem,
        };
        let hooks = check_exports(platform, &shape).map_err(in_words)?;
        // A program that runs directly is linked as a component too: that checks the types of its imports.
        let linked = link(platform, &shape).map_err(in_words)?;
        let code = match module {
            None => Code::component(linked, hooks).map_err(invalid)?,
            Some(module) => Code::Direct(platform.imports.link(&module).map_err(invalid)?),
        };
        Ok(Program {
            platform: platform.clone(),
            code,
            shape,
            hooks,
        })
    }

    /// The hooks that the program exports.
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// The way in which the program runs: `component`, or `module` for a component around one module, which runs alone.
    pub fn runs(&self) -> &'static str {
        match self.code {
            Code::Component(..) => "component",
            Code::Direct(_) => "module",
        }
    }

    /// The interfaces that the program imports, in alphabetical order.
    pub fn imports(&self) -> Vec<Shown> {
        let mut names: Vec<Shown> = self
            .shape
            .component_type()
            .imports(&self.platform.engine)
            .map(|(name, _)| Shown::new(name))
            .collect();
        names.sort();
        names
    }
}

/// Reads a plugin's file.
///
/// # Errors
///
/// The file cannot be read, is not a regular file, or is larger than any plugin.
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

/// The kind of a plugin's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component.
    Component,
    /// A core module. Pace makes a component of it if it carries the type of one.
    CoreModule,
}

/// The component that a file is, or that is made of it.
///
/// # Errors
///
/// The file is neither a component nor a core module that carries its component type.
pub fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
    match kind(bytes)? {
        Kind::Component => Ok(Cow::Borrowed(bytes)),
        Kind::CoreModule => componentize(bytes).map(Cow::Owned),
    }
}

/// The platform that programs of this allocation are compiled for.
pub(super) fn platform(runtime: &Runtime, allocation: Allocation) -> Result<Platform, LoadError> {
    runtime
        .platform(allocation)
        .map_err(|error| LoadError::NoEngine(format!("{error:#}")))
}

/// Compiles a component, which need not fit the contract.
pub(super) fn compile(platform: &Platform, component: &[u8]) -> Result<Component, LoadError> {
    Component::new(&platform.engine, component).map_err(invalid)
}

fn invalid(error: wasmtime::Error) -> LoadError {
    CompileError::from(error).into()
}

/// The system (`EI_OSABI`) in the header of wasmtime's ELF files: `ELFOSABI_WASMTIME`.
const WASMTIMES_OWN: u8 = 200;

const COMPILES_ITSELF: &str = "Pace compiles plugins itself and runs no code from elsewhere: put the component or \
                               core module in its place";

/// The kind of a file, from its first eight bytes: `\0asm`, a version, and a layer (0: core module, 1: component).
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

/// Links a component with its imports.
pub(super) fn link(platform: &Platform, component: &Component) -> Result<InstancePre<Guest>, LoadError> {
    let linker = capability::wasi::add(&platform.linker, &platform.engine, component);
    linker
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(|error| LoadError::ImportType(Shown::new(format_args!("{error:#}"))))
}

/// Checks that each import is an interface that Pace has. Linking checks the types of its functions.
fn check_imports(platform: &Platform, component: &Component) -> Result<(), LoadError> {
    let imports = component.component_type();
    let mut imports = imports.imports(&platform.engine);
    match imports.find_map(|(name, _)| import_problem(name)) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// The reason why an import is not available, if it is not.
pub(super) fn import_problem(name: &str) -> Option<LoadError> {
    if capability::has(name) || capability::wasi::has(name) {
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

/// The error for a name of the contract's package in another version than this Pace's.
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
    /// The function's type in the words of the contract.
    signature: &'static str,
}

impl Export {
    /// The function of a hook that has one.
    fn of(hook: Hook) -> Export {
        Export::at(hook, 0)
    }

    /// The function of a hook that is at this place in [`Hook::functions`].
    fn at(hook: Hook, place: usize) -> Export {
        let (function, signature) = hook.functions()[place];
        Export {
            interface: direct::interface(hook.name()).into(),
            function,
            signature,
        }
    }
}

fn check_exports(platform: &Platform, component: &Component) -> Result<Hooks, LoadError> {
    for (name, _) in component.component_type().exports(&platform.engine) {
        if let Some(found) = other_contract(name) {
            return Err(found);
        }
    }
    if !has_lifecycle(platform, component)? {
        return Err(LoadError::MissingExport(LIFECYCLE));
    }
    let has = |hook| Ok(has_hook(platform, component, hook)?.then_some(hook));
    let hooks: Result<Hooks, LoadError> = Hook::ALL
        .into_iter()
        .filter_map(|hook| has(hook).transpose())
        .collect();
    match hooks? {
        hooks if hooks.is_empty() => Err(LoadError::NoHook),
        hooks => Ok(hooks),
    }
}

/// Whether a component exports the function that every plugin must; an error if it does so with another type.
pub(super) fn has_lifecycle(platform: &Platform, component: &Component) -> Result<bool, LoadError> {
    let configure = Export {
        interface: LIFECYCLE.into(),
        function: "configure",
        signature: "func(config: string) -> result<_, string>",
    };
    configure.is_there::<(String,), (Result<(), String>,)>(platform, component)
}

/// Whether a component exports a hook; an error if it does so with another type.
pub(super) fn has_hook(platform: &Platform, component: &Component, hook: Hook) -> Result<bool, LoadError> {
    let export = Export::of(hook);
    match hook {
        Hook::RequestFilter | Hook::RequestBodyFilter | Hook::ResponseFilter | Hook::ResponseBodyFilter => {
            export.is_there::<(), (Verdict,)>(platform, component)
        }
        Hook::AttemptFilter => Ok(export.is_there::<(u32,), (Verdict,)>(platform, component)?
            && Export::at(hook, 1).is_there::<(u32,), (Judgement,)>(platform, component)?),
        Hook::SelectUpstream => export.is_there::<(u32,), (Selection,)>(platform, component),
        Hook::RequestStreamFilter | Hook::ResponseStreamFilter => {
            let [next, end] = [1, 2].map(|place| Export::at(hook, place));
            Ok(export.is_there::<(), (Option<Opening>,)>(platform, component)?
                && next.is_there::<(ResourceAny,), (Step,)>(platform, component)?
                && end.is_there::<(ResourceAny, Ending), ()>(platform, component)?)
        }
        Hook::Finished => export.is_there::<(), ()>(platform, component),
    }
}

impl Export {
    /// Whether a component exports the function; an error if it does so with another type than the bindings have.
    fn is_there<Params, Results>(&self, platform: &Platform, component: &Component) -> Result<bool, LoadError>
    where
        Params: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        let exported = component.component_type();
        let Some(interface) = exported.get_export(&platform.engine, &self.interface) else {
            return Ok(false);
        };
        let missing = LoadError::MissingFunction {
            interface: self.interface.to_string(),
            function: self.function,
        };
        let ComponentItem::ComponentInstance(interface) = interface.ty else {
            return Err(missing);
        };
        let Some(function) = interface.get_export(&platform.engine, self.function) else {
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
