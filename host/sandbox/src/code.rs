//! Compiled code, run in one of two ways: as a component, or as the core module that the component wraps.

use wasmtime::component::{self, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower};
use wasmtime::{Result, Store, StoreContextMut, WasmParams, format_err};

use super::bindings::exports::pace::plugin::attempt_filter::Judgement;
use super::bindings::exports::pace::plugin::lifecycle;
use super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::bindings::pace::plugin::http::Verdict;
use super::direct::{self, Returned};
use super::guest::Guest;
use super::stream_filter::StreamFilter;
use pace_hook::{Hook, Hooks, PerHook};

/// Code that is linked with its imports.
pub(super) enum Code {
    /// A component of any make, through the component model's runtime.
    Component(InstancePre<Guest>, Box<Indices>),
    /// The only module of a component, run by itself; see `direct`.
    Direct(wasmtime::InstancePre<Guest>),
}

/// The places of the hooks in an instance of a component.
pub(super) struct Indices {
    lifecycle: lifecycle::GuestIndices,
    /// Of each hook's functions, in the order of [`Hook::functions`]; none of a hook that the plugin does not have.
    hooks: PerHook<Vec<ComponentExportIndex>>,
}

/// The functions of an instance that Pace calls, each with the types of the contract.
pub(super) struct Exports {
    configure: Configure,
    pub(super) request_filter: Function<(), (Verdict,)>,
    pub(super) request_stream_filter: StreamFilter,
    pub(super) request_body_filter: Function<(), (Verdict,)>,
    pub(super) response_body_filter: Function<(), (Verdict,)>,
    pub(super) prepare: Function<(u32,), (Verdict,)>,
    pub(super) judge: Function<(u32,), (Judgement,)>,
    pub(super) select_upstream: Function<(u32,), (Selection,)>,
    pub(super) response_filter: Function<(), (Verdict,)>,
    pub(super) response_stream_filter: StreamFilter,
    pub(super) finished: Function<(), ()>,
}

impl Exports {
    fn load(mut loading: Loading<'_>) -> Result<Exports> {
        Ok(Exports {
            configure: loading.configure()?,
            request_filter: loading.hook(Hook::RequestFilter)?,
            request_stream_filter: loading.stream_filter(Hook::RequestStreamFilter)?,
            request_body_filter: loading.hook(Hook::RequestBodyFilter)?,
            response_body_filter: loading.hook(Hook::ResponseBodyFilter)?,
            prepare: loading.function(Hook::AttemptFilter, 0)?,
            judge: loading.function(Hook::AttemptFilter, 1)?,
            select_upstream: loading.hook(Hook::SelectUpstream)?,
            response_filter: loading.hook(Hook::ResponseFilter)?,
            response_stream_filter: loading.stream_filter(Hook::ResponseStreamFilter)?,
            finished: loading.hook(Hook::Finished)?,
        })
    }

    pub(super) fn configure(
        &self,
        store: StoreContextMut<'_, Guest>,
        config: &str,
    ) -> Result<direct::Configured> {
        match &self.configure {
            Configure::Component(guest) => guest.call_configure(store, config),
            Configure::Direct(configure) => configure.call(store, config),
        }
    }
}

/// `lifecycle.configure`.
enum Configure {
    Component(lifecycle::Guest),
    Direct(direct::Configure),
}

/// The function of a hook, in either way.
pub(super) enum Function<P, R: Returned> {
    Component(component::TypedFunc<P, R>),
    Direct(direct::Function<P, R>),
    /// The plugin does not have the hook. The chain calls only hooks that a plugin has.
    Absent,
}

impl<P, R> Function<P, R>
where
    P: ComponentNamedList + Lower + WasmParams,
    R: ComponentNamedList + Lift + Returned,
{
    pub(super) fn call(&self, mut store: StoreContextMut<'_, Guest>, parameters: P) -> Result<R> {
        match self {
            Function::Component(function) => function.call(&mut store, parameters),
            Function::Direct(function) => function.call(store, parameters),
            Function::Absent => Err(format_err!("the plugin does not export this hook")),
        }
    }
}

impl Code {
    /// Code of a component with these hooks.
    pub(super) fn component(pre: InstancePre<Guest>, hooks: Hooks) -> Result<Code> {
        let component = pre.component();
        let of_hook = |hook: Hook| {
            let interface = component.get_export_index(None, direct::interface(hook.name()))?;
            let functions = hook.functions().iter();
            functions
                .map(|(function, _)| component.get_export_index(Some(&interface), function))
                .collect()
        };
        let indices = Indices {
            lifecycle: lifecycle::GuestIndices::new(&pre)?,
            hooks: PerHook::from_fn(|hook| {
                let found = hooks.contains(hook).then(|| of_hook(hook)).flatten();
                found.unwrap_or_default()
            }),
        };
        Ok(Code::Component(pre, Box::new(indices)))
    }

    /// Makes an instance with these hooks.
    pub(super) fn instantiate(&self, store: &mut Store<Guest>, hooks: Hooks) -> Result<Exports> {
        match self {
            Code::Component(pre, indices) => {
                let instance = pre.instantiate(&mut *store)?;
                Exports::load(Loading::Component(store, instance, indices))
            }
            Code::Direct(pre) => {
                let instance = pre.instantiate(&mut *store)?;
                let store = wasmtime::AsContextMut::as_context_mut(store);
                let loading = direct::Loading::new(store, instance, hooks)?;
                Exports::load(Loading::Direct(loading))
            }
        }
    }
}

/// An instance whose exports are being looked up.
enum Loading<'a> {
    Component(&'a mut Store<Guest>, component::Instance, &'a Indices),
    Direct(direct::Loading<'a>),
}

impl Loading<'_> {
    fn configure(&mut self) -> Result<Configure> {
        Ok(match self {
            Loading::Component(store, instance, indices) => {
                Configure::Component(indices.lifecycle.load(&mut **store, instance)?)
            }
            Loading::Direct(loading) => Configure::Direct(loading.configure()?),
        })
    }

    /// The function of a hook that has one.
    fn hook<P, R>(&mut self, hook: Hook) -> Result<Function<P, R>>
    where
        P: ComponentNamedList + Lower + WasmParams,
        R: ComponentNamedList + Lift + Returned,
    {
        self.function(hook, 0)
    }

    fn stream_filter(&mut self, hook: Hook) -> Result<StreamFilter> {
        match self {
            Loading::Component(store, instance, indices) => {
                StreamFilter::component(store, *instance, &indices.hooks[hook])
            }
            Loading::Direct(loading) => {
                let filter = loading.stream_filter(hook)?.map(Box::new);
                Ok(filter.map_or(StreamFilter::Absent, StreamFilter::Direct))
            }
        }
    }

    /// The function of a hook that is at this place in [`Hook::functions`].
    fn function<P, R>(&mut self, hook: Hook, place: usize) -> Result<Function<P, R>>
    where
        P: ComponentNamedList + Lower + WasmParams,
        R: ComponentNamedList + Lift + Returned,
    {
        let function = match self {
            Loading::Component(store, instance, indices) => indices.hooks[hook]
                .get(place)
                .map(|index| instance.get_typed_func(&mut **store, index))
                .transpose()?
                .map(Function::Component),
            Loading::Direct(loading) => loading.hook(hook, place)?.map(Function::Direct),
        };
        Ok(function.unwrap_or(Function::Absent))
    }
}
