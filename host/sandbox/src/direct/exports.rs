//! Hooks as a core module exports them.

use wasmtime::{Instance, Result, StoreContextMut, TypedFunc, WasmParams, WasmResults, bail, format_err};

use super::super::bindings::exports::pace::plugin::attempt_filter::Judgement;
use super::super::bindings::exports::pace::plugin::select_upstream::Selection;
use super::super::bindings::pace::plugin::http::{HeaderField, HttpResponse, Verdict};
use super::super::guest::Guest;
use super::super::meter::Exceeded;
use super::memory::{CanonicalAbi, Reader, give, memory, pair, pairs, served};
use super::names;
use pace_hook::{Hook, Hooks, Reply};

/// `lifecycle.configure`.
pub(in super::super) struct Configure(Function<(u32, u32), (Configured,)>);

/// The result of `configure`; its error is the refusal of the configuration.
pub(in super::super) type Configured = std::result::Result<(), String>;

impl Configure {
    pub(in super::super) fn call(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        config: &str,
    ) -> Result<Configured> {
        let [at, length] = give(&mut store, config.as_bytes())?;
        let (configured,) = self.0.call(store, (at, length))?;
        Ok(configured)
    }
}

/// A function with these parameters and results.
pub(in super::super) struct Function<P, R: Returned> {
    call: TypedFunc<P, R::Core>,
    /// Frees the results.
    post_return: Option<TypedFunc<R::Core, ()>>,
}

impl<P: WasmParams, R: Returned> Function<P, R> {
    pub(in super::super) fn call(&self, mut store: StoreContextMut<'_, Guest>, parameters: P) -> Result<R> {
        let core = self.call.call(&mut store, parameters)?;
        let (memory, guest) = memory(&mut store)?;
        let results = R::read(&mut Reader::new(memory, guest), core)?;
        if let Some(post_return) = &self.post_return {
            served(&mut store, |store| post_return.call(store, core))?;
        }
        Ok(results)
    }
}

/// An instance whose exports are being looked up.
pub(in super::super) struct Loading<'a> {
    store: StoreContextMut<'a, Guest>,
    instance: Instance,
    hooks: Hooks,
}

impl<'a> Loading<'a> {
    /// Begins with an instance that has these hooks, and tells the host functions how to reach its memory.
    pub(in super::super) fn new(
        mut store: StoreContextMut<'a, Guest>,
        instance: Instance,
        hooks: Hooks,
    ) -> Result<Loading<'a>> {
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| format_err!("the module exports no `memory`"))?;
        let realloc = instance.get_func(&mut store, "cabi_realloc");
        let realloc = realloc.map(|function| function.typed(&store)).transpose()?;
        store.data_mut().abi = Some(CanonicalAbi {
            memory,
            realloc,
            serves_host: false,
        });
        Ok(Loading {
            store,
            instance,
            hooks,
        })
    }

    pub(in super::super) fn configure(&mut self) -> Result<Configure> {
        self.function("lifecycle", "configure").map(Configure)
    }

    /// The function of a hook that is at this place in [`Hook::functions`]; `None` if the plugin does not have the hook.
    pub(in super::super) fn hook<P: WasmParams, R: Returned>(
        &mut self,
        hook: Hook,
        place: usize,
    ) -> Result<Option<Function<P, R>>> {
        let exported = self.hooks.contains(hook);
        exported
            .then(|| self.function(hook.name(), hook.functions()[place].0))
            .transpose()
    }

    fn function<P: WasmParams, R: Returned>(
        &mut self,
        interface: &str,
        function: &str,
    ) -> Result<Function<P, R>> {
        let name = names::exported(interface, function);
        let call = self.instance.get_typed_func(&mut self.store, &name)?;
        let post_return = self.optional(&format!("cabi_post_{name}"))?;
        Ok(Function { call, post_return })
    }

    /// A function that a plugin need not export.
    pub(super) fn optional<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<Option<TypedFunc<P, R>>> {
        let function = self.instance.get_func(&mut self.store, name);
        function.map(|function| function.typed(&self.store)).transpose()
    }
}

/// The results of a function, read from the plugin's memory with the numbers that the core function returns.
pub(in super::super) trait Returned: Sized {
    type Core: WasmParams + WasmResults + Copy;

    fn read(memory: &mut Reader<'_>, core: Self::Core) -> Result<Self>;
}

/// The result of `configure` in memory: the case at 0, and the text at 4.
impl Returned for (Configured,) {
    type Core = u32;

    fn read(memory: &mut Reader<'_>, at: u32) -> Result<Self> {
        let [case, _, _, _, refusal @ ..] = *memory.area::<4, 12>(at)?;
        match case {
            0 => Ok((Ok(()),)),
            1 => Ok((Err(memory.string(pair(refusal))?.to_owned()),)),
            case => bail!("configure returned a result with the case {case}"),
        }
    }
}

/// A function without results.
impl Returned for () {
    type Core = ();

    fn read(_: &mut Reader<'_>, (): ()) -> Result<Self> {
        Ok(())
    }
}

/// A verdict in memory: the case at 0, and its payload at 4.
impl Returned for (Verdict,) {
    type Core = u32;

    fn read(memory: &mut Reader<'_>, at: u32) -> Result<Self> {
        let [case, _, _, _, payload @ ..] = *memory.area::<4, 24>(at)?;
        match case {
            0 => Ok((Verdict::Next,)),
            1 => Ok((Verdict::Respond(response(memory, payload)?),)),
            case => bail!("filter returned a verdict with the case {case}"),
        }
    }
}

/// A selection in memory: the case at 0, and its payload at 4.
impl Returned for (Selection,) {
    type Core = u32;

    fn read(memory: &mut Reader<'_>, at: u32) -> Result<Self> {
        let [case, _, _, _, payload @ ..] = *memory.area::<4, 24>(at)?;
        match case {
            0 => {
                let [a, b, c, d, ..] = payload;
                Ok((Selection::Pick(u32::from_le_bytes([a, b, c, d])),))
            }
            1 => Ok((Selection::Pass,)),
            2 => Ok((Selection::Respond(response(memory, payload)?),)),
            case => bail!("select returned a selection with the case {case}"),
        }
    }
}

/// A judgement in memory: the case at 0, and its payload at 4.
impl Returned for (Judgement,) {
    type Core = u32;

    fn read(memory: &mut Reader<'_>, at: u32) -> Result<Self> {
        let [case, _, _, _, payload @ ..] = *memory.area::<4, 24>(at)?;
        match case {
            0 => Ok((Judgement::Accept,)),
            1 => Ok((Judgement::Retry,)),
            2 => Ok((Judgement::Respond(response(memory, payload)?),)),
            case => bail!("judge returned a judgement with the case {case}"),
        }
    }
}

/// Reads a `record http-response`: the status is at 0, the place and number of headers at 4, those of the body at 12.
fn response(result: &mut Reader<'_>, record: [u8; 20]) -> Result<HttpResponse> {
    let [low, high, _, _, lists @ ..] = record;
    let [headers, body] = pairs(lists);
    let fields = result.elements::<4, 16>(headers, size_of::<HeaderField>())?;
    let mut headers = Vec::with_capacity(fields.len().min(result.limits.headers));
    for field in fields {
        let [name, value] = pairs(*field);
        let header = (result.string(name)?, result.list(value)?);
        // Headers above the limit are read, as those of a component are, but not kept.
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
