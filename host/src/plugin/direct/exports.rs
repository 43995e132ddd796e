//! Hooks as a core module exports them.

use wasmtime::{Instance, Result, StoreContextMut, TypedFunc, WasmParams, bail, format_err};

use super::super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::super::bindings::pace::plugin::http::{HeaderField, HttpResponse, Verdict};
use super::super::guest::Guest;
use super::memory::{Exchange, Reader, Realloc, after, give, split};
use crate::CONTRACT;
use crate::hook::{Hook, Hooks};

/// The exports of an instance that Pace calls.
pub(in super::super) struct Exports {
    configure: Function<(u32, u32)>,
    request_filter: Option<Function<()>>,
    select_upstream: Option<Function<u32>>,
    response_filter: Option<Function<()>>,
}

impl Exports {
    /// Finds those of these hooks, and tells the host functions how to reach the instance.
    pub(in super::super) fn load(
        mut store: StoreContextMut<'_, Guest>,
        instance: &Instance,
        hooks: Hooks,
    ) -> Result<Exports> {
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| format_err!("the module exports no `memory`"))?;
        let realloc = match instance.get_func(&mut store, "cabi_realloc") {
            Some(function) => Realloc::Ready(function.typed(&store)?),
            None => Realloc::Missing,
        };
        store.data_mut().exchange = Some(Exchange { memory, realloc });
        let mut loading = Loading {
            store,
            instance,
            hooks,
        };
        Ok(Exports {
            configure: loading.function("lifecycle", "configure")?,
            request_filter: loading.hook(Hook::RequestFilter, "filter")?,
            select_upstream: loading.hook(Hook::SelectUpstream, "select")?,
            response_filter: loading.hook(Hook::ResponseFilter, "filter")?,
        })
    }

    /// Calls `lifecycle.configure`.
    pub(in super::super) fn configure(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        config: &str,
    ) -> Result<std::result::Result<(), String>> {
        let [at, length] = give(&mut store, config.as_bytes())?;
        self.configure
            .call(store, (at, length), |result, at| match result.byte(at)? {
                0 => Ok(Ok(())),
                1 => Ok(Err(result.string(after(at, 4)?)?)),
                case => bail!("configure returned a result with the case {case}"),
            })
    }

    /// Calls `request-filter`.
    pub(in super::super) fn request_filter(&self, store: StoreContextMut<'_, Guest>) -> Result<Verdict> {
        exported(&self.request_filter)?.call(store, (), verdict)
    }

    /// Calls `select-upstream`.
    pub(in super::super) fn select_upstream(
        &self,
        store: StoreContextMut<'_, Guest>,
        attempt: u32,
    ) -> Result<Selection> {
        exported(&self.select_upstream)?.call(store, attempt, |result, at| match result.byte(at)? {
            0 => Ok(Selection::Pick(result.number(after(at, 4)?)?)),
            1 => Ok(Selection::Pass),
            2 => Ok(Selection::Respond(response(result, after(at, 4)?)?)),
            case => bail!("select returned a selection with the case {case}"),
        })
    }

    /// Calls `response-filter`.
    pub(in super::super) fn response_filter(&self, store: StoreContextMut<'_, Guest>) -> Result<Verdict> {
        exported(&self.response_filter)?.call(store, (), verdict)
    }
}

fn exported<P>(function: &Option<Function<P>>) -> Result<&Function<P>> {
    function
        .as_ref()
        .ok_or_else(|| format_err!("the plugin does not export this hook"))
}

/// A function that returns where its result is.
struct Function<P> {
    call: TypedFunc<P, u32>,
    /// Frees the result.
    post_return: Option<TypedFunc<u32, ()>>,
}

impl<P: WasmParams> Function<P> {
    fn call<T>(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        parameters: P,
        lift: impl FnOnce(&mut Reader<'_>, u32) -> Result<T>,
    ) -> Result<T> {
        let at = self.call.call(&mut store, parameters)?;
        let (memory, guest) = split(&mut store)?;
        let result = lift(&mut Reader::new(memory, guest.generation.limits.memory), at)?;
        if let Some(post_return) = &self.post_return {
            post_return.call(store, at)?;
        }
        Ok(result)
    }
}

struct Loading<'a> {
    store: StoreContextMut<'a, Guest>,
    instance: &'a Instance,
    hooks: Hooks,
}

impl Loading<'_> {
    fn hook<P: WasmParams>(&mut self, hook: Hook, function: &str) -> Result<Option<Function<P>>> {
        let exported = self.hooks.iter().any(|exported| exported == hook);
        exported.then(|| self.function(hook.name(), function)).transpose()
    }

    fn function<P: WasmParams>(&mut self, interface: &str, function: &str) -> Result<Function<P>> {
        let (package, version) = CONTRACT.split_once('@').expect("the contract has a version");
        let name = format!("{package}/{interface}@{version}#{function}");
        let call = self.instance.get_typed_func(&mut self.store, &name)?;
        let post_return = self
            .instance
            .get_func(&mut self.store, &format!("cabi_post_{name}"))
            .map(|function| function.typed(&self.store))
            .transpose()?;
        Ok(Function { call, post_return })
    }
}

fn verdict(result: &mut Reader<'_>, at: u32) -> Result<Verdict> {
    match result.byte(at)? {
        0 => Ok(Verdict::Next),
        1 => Ok(Verdict::Respond(response(result, after(at, 4)?)?)),
        case => bail!("filter returned a verdict with the case {case}"),
    }
}

/// `record http-response`: the status at 0, the headers' place and number at 4, the body's at 12.
fn response(result: &mut Reader<'_>, at: u32) -> Result<HttpResponse> {
    let status = result.short(at)?;
    let mut field = result.number(after(at, 4)?)?;
    let count = result.number(after(at, 8)?)?;
    result.spend(count as usize * size_of::<HeaderField>())?;
    let mut headers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        headers.push(HeaderField {
            name: result.string(field)?,
            value: result.list(after(field, 8)?)?,
        });
        field = after(field, 16)?;
    }
    Ok(HttpResponse {
        status,
        headers,
        body: result.list(after(at, 12)?)?,
    })
}
