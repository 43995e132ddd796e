//! A program with its configuration: what a route calls.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::bindings::exports::pace::plugin::select_upstream::Selection as WasmSelection;
use super::bindings::pace::plugin::http::{HttpResponse, Verdict as WasmVerdict};
use super::instance::Instance;
use super::load::Program;
use crate::config::Limits;
use crate::hook::{Call, Failure, FailureReason, Hooks, Plugin, Reply, Selection, Stage, Verdict};
use crate::state::Scope;

/// A plugin in wasm, configured for a route. Keeps one instance per thread that calls it.
pub struct WasmPlugin {
    generation: Generation,
}

/// One version of a plugin with one configuration.
pub(super) struct Generation {
    pub(super) id: u64,
    slot: usize,
    pub(super) name: Arc<str>,
    pub(super) program: Arc<Program>,
    pub(super) config: String,
    pub(super) scope: Arc<Scope>,
    pub(super) limits: Limits,
}

thread_local! {
    /// This thread's instances, by slot. An instance of a generation that is gone stays until its slot is
    /// used again or the thread sweeps.
    static INSTANCES: RefCell<Vec<Option<Box<Instance>>>> = const { RefCell::new(Vec::new()) };
}

/// Which slots are free. Slots keep the threads' tables as short as the configuration is.
static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    free: Vec::new(),
    count: 0,
});

struct Slots {
    free: Vec<usize>,
    count: usize,
}

impl Slots {
    fn take() -> usize {
        let mut slots = SLOTS.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.count += 1;
            slots.count - 1
        })
    }
}

impl WasmPlugin {
    /// Joins a program with its configuration, and tries it: an instance is made and configured, here and
    /// now, so that what cannot work is known before the first request.
    pub fn new(
        name: Arc<str>,
        program: Arc<Program>,
        config: &serde_json::Map<String, serde_json::Value>,
        scope: Arc<Scope>,
        limits: Limits,
    ) -> Result<WasmPlugin, Failure> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let config = serde_json::to_string(config).expect("a map of JSON values is JSON");
        let generation = Generation {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            slot: Slots::take(),
            name,
            program,
            config,
            scope,
            limits,
        };
        Instance::new(&generation)?;
        Ok(WasmPlugin { generation })
    }

    fn with_instance<T>(&self, run: impl FnOnce(&mut Instance) -> Result<T, Failure>) -> Result<T, Failure> {
        let generation = &self.generation;
        INSTANCES.with_borrow_mut(|instances| {
            if instances.len() <= generation.slot {
                instances.resize_with(generation.slot + 1, || None);
            }
            let place = &mut instances[generation.slot];
            let mut instance = match place.take() {
                Some(instance) if instance.generation == generation.id => instance,
                _ => Box::new(Instance::new(generation)?),
            };
            let result = run(&mut instance);
            // After a failure, whatever it was in the middle of, it is not asked again; nor after a panic.
            if result.is_ok() {
                *place = Some(instance);
            }
            result
        })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        SLOTS.lock().free.push(self.slot);
    }
}

impl Plugin for WasmPlugin {
    fn name(&self) -> &str {
        &self.generation.name
    }

    fn hooks(&self) -> Hooks {
        self.generation.program.hooks
    }

    fn request_filter(&self, call: Call<'_>) -> Result<Verdict, Failure> {
        self.with_instance(|instance| {
            let verdict = instance.run(&self.generation, call, |exports, store| {
                exports
                    .request_filter
                    .as_ref()
                    .ok_or_else(not_exported)?
                    .call_filter(store)
            })?;
            parse_verdict(verdict)
        })
    }

    fn select_upstream(&self, call: Call<'_>) -> Result<Selection, Failure> {
        let Stage::SelectUpstream { candidates, attempt } = call.stage else {
            unreachable!("the chain passes each hook its own stage");
        };
        let count = candidates.count();
        self.with_instance(|instance| {
            let selection = instance.run(&self.generation, call, |exports, store| {
                exports
                    .select_upstream
                    .as_ref()
                    .ok_or_else(not_exported)?
                    .call_select(store, attempt)
            })?;
            match selection {
                WasmSelection::Pass => Ok(Selection::Pass),
                WasmSelection::Pick(index) if index < count => Ok(Selection::Pick(index)),
                WasmSelection::Pick(index) => Err(illegal(format!(
                    "it picked backend {index} of a pool of {count}, counted from 0"
                ))),
                WasmSelection::Respond(response) => Ok(Selection::Respond(parse_reply(response)?)),
            }
        })
    }

    fn response_filter(&self, call: Call<'_>) -> Result<Verdict, Failure> {
        self.with_instance(|instance| {
            let verdict = instance.run(&self.generation, call, |exports, store| {
                exports
                    .response_filter
                    .as_ref()
                    .ok_or_else(not_exported)?
                    .call_filter(store)
            })?;
            parse_verdict(verdict)
        })
    }
}

/// The chain asks a plugin only for hooks that it exports; this is what would be seen if it did not.
fn not_exported() -> wasmtime::Error {
    wasmtime::format_err!("the plugin does not export this hook")
}

fn parse_verdict(verdict: WasmVerdict) -> Result<Verdict, Failure> {
    match verdict {
        WasmVerdict::Next => Ok(Verdict::Next),
        WasmVerdict::Respond(response) => Ok(Verdict::Respond(parse_reply(response)?)),
    }
}

fn parse_reply(response: HttpResponse) -> Result<Reply, Failure> {
    let headers = response
        .headers
        .into_iter()
        .map(|header| (header.name, header.value));
    Reply::parse(response.status, headers, response.body).map_err(illegal)
}

fn illegal(detail: String) -> Failure {
    Failure {
        reason: FailureReason::IllegalOutput,
        detail,
    }
}
