//! Hooks as a core module exports them.

use wasmtime::{Instance, Result, StoreContextMut, TypedFunc, WasmParams, bail, format_err};

use super::super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::super::bindings::pace::plugin::http::{HeaderField, HttpResponse, Verdict};
use super::super::guest::Guest;
use super::super::meter::Exceeded;
use super::memory::{Exchange, Reader, give, memory, pair, pairs, served};
use super::names;
use pace_hook::{Hook, Hooks, Reply};

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
        let realloc = instance.get_func(&mut store, "cabi_realloc");
        let realloc = realloc.map(|function| function.typed(&store)).transpose()?;
        store.data_mut().exchange = Some(Exchange {
            memory,
            realloc,
            serves_host: false,
        });
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
        self.configure.call(store, (at, length), configured)
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
        exported(&self.select_upstream)?.call(store, attempt, selection)
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
        let (memory, guest) = memory(&mut store)?;
        let result = lift(&mut Reader::new(memory, &guest.generation.limits), at)?;
        if let Some(post_return) = &self.post_return {
            served(&mut store, |store| post_return.call(store, at))?;
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
        let name = names::exported(interface, function);
        let call = self.instance.get_typed_func(&mut self.store, &name)?;
        let post_return = self
            .instance
            .get_func(&mut self.store, &format!("cabi_post_{name}"))
            .map(|function| function.typed(&self.store))
            .transpose()?;
        Ok(Function { call, post_return })
    }
}

/// `result<_, string>`.
fn configured(result: &mut Reader<'_>, at: u32) -> Result<std::result::Result<(), String>> {
    let [case, _, _, _, refusal @ ..] = *result.area::<4, 12>(at)?;
    match case {
        0 => Ok(Ok(())),
        1 => Ok(Err(result.string(pair(refusal))?.to_owned())),
        case => bail!("configure returned a result with the case {case}"),
    }
}

/// `variant verdict`: its case, and what belongs to it at 4.
fn verdict(result: &mut Reader<'_>, at: u32) -> Result<Verdict> {
    let [case, _, _, _, payload @ ..] = *result.area::<4, 24>(at)?;
    match case {
        0 => Ok(Verdict::Next),
        1 => Ok(Verdict::Respond(response(result, payload)?)),
        case => bail!("filter returned a verdict with the case {case}"),
    }
}

/// `variant selection`, in the same way.
fn selection(result: &mut Reader<'_>, at: u32) -> Result<Selection> {
    let [case, _, _, _, payload @ ..] = *result.area::<4, 24>(at)?;
    match case {
        0 => {
            let [a, b, c, d, ..] = payload;
            Ok(Selection::Pick(u32::from_le_bytes([a, b, c, d])))
        }
        1 => Ok(Selection::Pass),
        2 => Ok(Selection::Respond(response(result, payload)?)),
        case => bail!("select returned a selection with the case {case}"),
    }
}

/// `record http-response`: the status at 0, the headers' place and number at 4, the body's at 12.
fn response(result: &mut Reader<'_>, record: [u8; 20]) -> Result<HttpResponse> {
    let [low, high, _, _, lists @ ..] = record;
    let [headers, body] = pairs(lists);
    let fields = result.elements::<4, 16>(headers, size_of::<HeaderField>())?;
    let mut headers = Vec::with_capacity(fields.len().min(result.limits.headers));
    for field in fields {
        let [name, value] = pairs(*field);
        let header = (result.string(name)?, result.list(value)?);
        // Those that are too many are read, as a component's are, and no more than that.
        if headers.len() < result.limits.headers {
            headers.push(header);
        }
    }
    let body = result.found(body)?;
    Reply::check_sizes(fields.len(), body.len(), result.limits).map_err(Exceeded::Result)?;
    let copied = |(name, value): (&str, &[u8])| HeaderField {
        name: name.to_owned(),
        value: value.to_vec(),
    };
    Ok(HttpResponse {
        status: u16::from_le_bytes([low, high]),
        headers: headers.into_iter().map(copied).collect(),
        body: body.to_vec(),
    })
}
