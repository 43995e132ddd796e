//! Compiled code, run in one of two ways: as a component, or as the core module that it wraps.

use wasmtime::component::InstancePre;
use wasmtime::{Result, Store, StoreContextMut, format_err};

use super::bindings::exports::pace::plugin as exports;
use super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::bindings::pace::plugin::http::Verdict;
use super::direct;
use super::guest::Guest;
use pace_hook::Hooks;

/// Code that is linked with what it imports.
pub(super) enum Code {
    /// A component of any make, through the component model's runtime.
    Component(InstancePre<Guest>, Indices),
    /// The only module of one, see `direct`.
    Direct(wasmtime::InstancePre<Guest>),
}

/// Where the hooks are found in an instance of a component.
pub(super) struct Indices {
    lifecycle: exports::lifecycle::GuestIndices,
    request_filter: Option<exports::request_filter::GuestIndices>,
    select_upstream: Option<exports::select_upstream::GuestIndices>,
    response_filter: Option<exports::response_filter::GuestIndices>,
}

impl Code {
    /// A component with these hooks.
    pub(super) fn component(pre: InstancePre<Guest>, hooks: Hooks) -> Result<Code> {
        let indices = Indices {
            lifecycle: exports::lifecycle::GuestIndices::new(&pre)?,
            request_filter: hooks
                .request_filter
                .then(|| exports::request_filter::GuestIndices::new(&pre))
                .transpose()?,
            select_upstream: hooks
                .select_upstream
                .then(|| exports::select_upstream::GuestIndices::new(&pre))
                .transpose()?,
            response_filter: hooks
                .response_filter
                .then(|| exports::response_filter::GuestIndices::new(&pre))
                .transpose()?,
        };
        Ok(Code::Component(pre, indices))
    }

    /// Makes an instance with these hooks.
    pub(super) fn instantiate(&self, store: &mut Store<Guest>, hooks: Hooks) -> Result<Exports> {
        match self {
            Code::Component(pre, indices) => {
                let instance = pre.instantiate(&mut *store)?;
                Ok(Exports::Component(ComponentExports {
                    lifecycle: indices.lifecycle.load(&mut *store, &instance)?,
                    request_filter: match &indices.request_filter {
                        Some(indices) => Some(indices.load(&mut *store, &instance)?),
                        None => None,
                    },
                    select_upstream: match &indices.select_upstream {
                        Some(indices) => Some(indices.load(&mut *store, &instance)?),
                        None => None,
                    },
                    response_filter: match &indices.response_filter {
                        Some(indices) => Some(indices.load(&mut *store, &instance)?),
                        None => None,
                    },
                }))
            }
            Code::Direct(pre) => {
                let instance = pre.instantiate(&mut *store)?;
                let store = wasmtime::AsContextMut::as_context_mut(store);
                Ok(Exports::Direct(direct::Exports::load(store, &instance, hooks)?))
            }
        }
    }
}

/// What an instance exports. Each function is an error if the instance does not have the hook; the chain
/// asks a plugin only for hooks that it has.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one in each instance, which is much larger"
)]
pub(super) enum Exports {
    Component(ComponentExports),
    Direct(direct::Exports),
}

pub(super) struct ComponentExports {
    lifecycle: exports::lifecycle::Guest,
    request_filter: Option<exports::request_filter::Guest>,
    select_upstream: Option<exports::select_upstream::Guest>,
    response_filter: Option<exports::response_filter::Guest>,
}

impl Exports {
    pub(super) fn configure(
        &self,
        store: StoreContextMut<'_, Guest>,
        config: &str,
    ) -> Result<std::result::Result<(), String>> {
        match self {
            Exports::Component(exports) => exports.lifecycle.call_configure(store, config),
            Exports::Direct(exports) => exports.configure(store, config),
        }
    }

    pub(super) fn request_filter(&self, store: StoreContextMut<'_, Guest>) -> Result<Verdict> {
        match self {
            Exports::Component(exports) => exported(&exports.request_filter)?.call_filter(store),
            Exports::Direct(exports) => exports.request_filter(store),
        }
    }

    pub(super) fn select_upstream(
        &self,
        store: StoreContextMut<'_, Guest>,
        attempt: u32,
    ) -> Result<Selection> {
        match self {
            Exports::Component(exports) => exported(&exports.select_upstream)?.call_select(store, attempt),
            Exports::Direct(exports) => exports.select_upstream(store, attempt),
        }
    }

    pub(super) fn response_filter(&self, store: StoreContextMut<'_, Guest>) -> Result<Verdict> {
        match self {
            Exports::Component(exports) => exported(&exports.response_filter)?.call_filter(store),
            Exports::Direct(exports) => exports.response_filter(store),
        }
    }
}

fn exported<T>(hook: &Option<T>) -> Result<&T> {
    hook.as_ref()
        .ok_or_else(|| format_err!("the plugin does not export this hook"))
}
