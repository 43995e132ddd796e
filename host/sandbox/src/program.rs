//! A generation of a plugin with one configuration: what a route calls.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::bindings::exports::pace::plugin::select_upstream::Selection as WasmSelection;
use super::bindings::pace::plugin::http::{HttpResponse, Verdict as WasmVerdict};
use super::breaker::Admission;
use super::generation::Generation;
use super::instance::{Instance, Usage};
use super::lend::{Call, Response};
use pace_base::escape::Shown;
use pace_config::Isolation;
use pace_hook::{
    Candidates, Failure, FailureReason, Hook, Hooks, Plugin, Reply, RequestScope, ResponseHead, Selection,
    Verdict,
};
use pace_state::Scope;

/// A plugin in wasm, configured for a route.
pub struct WasmPlugin {
    used: Use,
}

/// One use of a generation.
pub(super) struct Use {
    pub(super) id: u64,
    slot: usize,
    pub(super) generation: Arc<Generation>,
    pub(super) config: String,
    pub(super) scope: Arc<Scope>,
}

thread_local! {
    /// This thread's instances, by slot.
    static INSTANCES: RefCell<Vec<Option<Box<Instance>>>> = const { RefCell::new(Vec::new()) };
}

/// Which use has which place in the threads' tables. Places are used again, so that the tables stay as
/// short as the configuration is.
static SLOTS: Mutex<Vec<Option<u64>>> = Mutex::new(Vec::new());

/// Counts the uses that have ended.
static ENDED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Changes whenever a use of a plugin has ended; a thread that serves should [`sweep`] then.
pub fn ended() -> watch::Receiver<u64> {
    ENDED.subscribe()
}

/// Drops this thread's instances of plugins that are not used any more.
pub fn sweep() {
    INSTANCES.with_borrow_mut(|instances| {
        let slots = SLOTS.lock();
        for (place, owner) in instances.iter_mut().zip(slots.iter()) {
            if place
                .as_ref()
                .is_some_and(|instance| Some(instance.owner) != *owner)
            {
                *place = None;
            }
        }
    });
}

impl WasmPlugin {
    /// Joins a generation with a configuration, and tries it: an instance is made and configured, here and
    /// now, so that what cannot work is known before the first request.
    pub fn new(
        generation: Arc<Generation>,
        config: String,
        scope: Arc<Scope>,
    ) -> Result<WasmPlugin, Failure> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut slots = SLOTS.lock();
        let slot = slots.iter().position(Option::is_none).unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[slot] = Some(id);
        drop(slots);
        let used = Use {
            id,
            slot,
            generation,
            config,
            scope,
        };
        Instance::new(&used)?;
        Ok(WasmPlugin { used })
    }

    /// The generation that it is a use of.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.used.generation
    }

    /// What this thread's instance has used so far; `None` if it has none.
    pub fn usage(&self) -> Option<Usage> {
        INSTANCES.with_borrow(|instances| {
            let instance = instances.get(self.used.slot)?.as_ref()?;
            (instance.owner == self.used.id).then(|| instance.usage())
        })
    }

    fn call<T>(
        &self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let generation = &self.used.generation;
        let admission = generation.health.admit();
        if admission == Admission::Skip {
            return Err(Failure {
                reason: FailureReason::BreakerOpen,
                detail: "it is left alone".to_owned(),
            });
        }
        let result = match generation.isolation {
            Isolation::Worker => self.with_own_instance(run),
            Isolation::Request => Instance::new(&self.used).and_then(|mut instance| run(&mut instance)),
        };
        match &result {
            Ok(_) => generation.succeeded(admission),
            Err(failure) => generation.failed(admission, hook, failure),
        }
        result
    }

    fn with_own_instance<T>(
        &self,
        run: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let used = &self.used;
        INSTANCES.with_borrow_mut(|instances| {
            if instances.len() <= used.slot {
                instances.resize_with(used.slot + 1, || None);
            }
            let place = &mut instances[used.slot];
            let mut instance = match place.take() {
                Some(instance) if instance.owner == used.id => instance,
                _ => Box::new(Instance::new(used)?),
            };
            let result = run(&mut instance);
            // After a failure, whatever it was in the middle of, it is not asked again; nor after a panic,
            // nor when it has become too large or too old.
            if result.is_ok() && !instance.is_worn(&used.generation.limits) {
                *place = Some(instance);
            }
            result
        })
    }

    fn parse_verdict(&self, verdict: WasmVerdict) -> Result<Verdict, Failure> {
        match verdict {
            WasmVerdict::Next => Ok(Verdict::Next),
            WasmVerdict::Respond(response) => Ok(Verdict::Respond(self.parse_reply(response)?)),
        }
    }

    fn parse_reply(&self, response: HttpResponse) -> Result<Reply, Failure> {
        let headers = response
            .headers
            .into_iter()
            .map(|header| (header.name, header.value));
        Reply::parse(
            response.status,
            headers,
            response.body,
            &self.used.generation.limits,
        )
        .map_err(illegal)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        SLOTS.lock()[self.slot] = None;
        ENDED.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Plugin for WasmPlugin {
    fn name(&self) -> &str {
        &self.used.generation.plugin
    }

    fn generation(&self) -> u64 {
        self.used.generation.number
    }

    fn hooks(&self) -> Hooks {
        self.used.generation.program.hooks
    }

    fn request_filter(&self, request: RequestScope<'_>) -> Result<Verdict, Failure> {
        self.call(Hook::RequestFilter, |instance| {
            let (verdict,) = instance.run(&self.used, Call::of(request), |exports, store| {
                exports.request_filter.call(store, ())
            })?;
            self.parse_verdict(verdict)
        })
    }

    fn select_upstream(
        &self,
        request: RequestScope<'_>,
        candidates: &dyn Candidates,
        attempt: u32,
    ) -> Result<Selection, Failure> {
        self.call(Hook::SelectUpstream, |instance| {
            let call = Call {
                candidates: Some(candidates),
                ..Call::of(request)
            };
            let (selection,) = instance.run(&self.used, call, |exports, store| {
                exports.select_upstream.call(store, (attempt,))
            })?;
            let count = candidates.count();
            match selection {
                WasmSelection::Pass => Ok(Selection::Pass),
                WasmSelection::Pick(index) if index < count => Ok(Selection::Pick(index)),
                WasmSelection::Pick(index) => Err(illegal(format!(
                    "it picked backend {index} of a pool of {count}, counted from 0"
                ))),
                WasmSelection::Respond(response) => Ok(Selection::Respond(self.parse_reply(response)?)),
            }
        })
    }

    fn response_filter(
        &self,
        request: RequestScope<'_>,
        response: &mut dyn ResponseHead,
        backend: Option<&str>,
    ) -> Result<Verdict, Failure> {
        self.call(Hook::ResponseFilter, |instance| {
            let call = Call {
                response: Some(Response {
                    head: response,
                    backend,
                }),
                ..Call::of(request)
            };
            let (verdict,) = instance.run(&self.used, call, |exports, store| {
                exports.response_filter.call(store, ())
            })?;
            self.parse_verdict(verdict)
        })
    }
}

fn illegal(detail: String) -> Failure {
    Failure {
        reason: FailureReason::IllegalOutput,
        detail: Shown::new(detail).into(),
    }
}
