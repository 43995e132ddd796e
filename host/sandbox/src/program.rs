//! A plugin in WebAssembly as a route calls it: a generation with one configuration.

use std::sync::Arc;

use super::bindings::exports::pace::plugin::attempt_filter::Judgement as WasmJudgement;
use super::bindings::exports::pace::plugin::select_upstream::Selection as WasmSelection;
use super::bindings::pace::plugin::http::{HttpResponse, Verdict as WasmVerdict};
use super::breaker::Admission;
use super::engine::Runtime;
use super::generation::Generation;
use super::instance::{Instance, Usage};
use super::lend::{Call, Response};
use super::recycling::NarrowLimits;
use super::slots::Slot;
use super::streams::{self, Filter, Room};
use pace_base::escape::Shown;
use pace_config::Isolation;
use pace_content::body::Content;
use pace_hook::{
    Attempt, AttemptAccess, Candidates, Failure, FailureReason, Heads, Hook, Hooks, Judgement, Opening,
    Outcome, Plugin, Reply, RequestScope, ResponseAccess, ResponseHead, Selection, Verdict,
};
use pace_state::Scope;

/// A plugin in WebAssembly, configured for a route.
pub struct WasmPlugin {
    used: Arc<Use>,
    /// The linear memory of an instance that has been configured, in bytes.
    configured: usize,
}

/// One use of a generation.
pub(super) struct Use {
    pub(super) slot: Slot,
    pub(super) generation: Arc<Generation>,
    pub(super) config: String,
    pub(super) scope: Arc<Scope>,
    /// Room for its messages, if each has an instance of its own.
    pub(super) room: Arc<Room>,
}

impl WasmPlugin {
    /// Joins a generation with a configuration. Threads keep its instances among those of `runtime`, in which the
    /// generation's program was loaded.
    ///
    /// # Errors
    ///
    /// The plugin does not start or refuses the configuration. An instance is made and configured at once to find
    /// that out before the first request.
    pub fn new(
        runtime: &Runtime,
        generation: Arc<Generation>,
        config: String,
        scope: Arc<Scope>,
    ) -> Result<WasmPlugin, Failure> {
        let used = Use {
            slot: runtime.slots.take(),
            room: Room::new(generation.limits.streams),
            generation,
            config,
            scope,
        };
        let configured = Instance::new(&used)?.configured;
        Ok(WasmPlugin {
            used: Arc::new(used),
            configured,
        })
    }

    /// What is wrong with the limits of memory, given what an instance takes to be configured.
    pub fn narrow_limits(&self) -> Option<NarrowLimits> {
        let generation = &self.used.generation;
        match generation.isolation {
            Isolation::Worker => NarrowLimits::of(&generation.limits, self.configured),
            // Instances are not recycled.
            Isolation::Request => None,
        }
    }

    /// The generation.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.used.generation
    }

    /// The usage of this thread's instance so far; `None` if the thread has none.
    pub fn usage(&self) -> Option<Usage> {
        let slot = &self.used.slot;
        slot.with_place(|place| {
            let instance = place.current.as_ref()?;
            (instance.owner == slot.owner).then(|| instance.usage())
        })
    }

    fn call<T>(
        &self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let used = &self.used;
        used.called(hook, || match used.generation.isolation {
            Isolation::Worker => used.with_own_instance(run),
            Isolation::Request => Instance::new(used).and_then(|mut instance| run(&mut instance)),
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

impl Use {
    /// Makes a call, unless the breaker is open, and records how it ended.
    pub(super) fn called<T>(
        &self,
        hook: Hook,
        call: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let admission = self.generation.fitness.admit();
        if admission == Admission::Skip {
            return Err(Failure {
                reason: FailureReason::BreakerOpen,
                detail: "it is left alone".to_owned(),
            });
        }
        let result = call();
        self.report(admission, hook, &result);
        result
    }

    /// Records how a call ended.
    pub(super) fn report<T>(&self, admission: Admission, hook: Hook, result: &Result<T, Failure>) {
        match result {
            Ok(_) => self.generation.succeeded(admission),
            Err(failure) => self.generation.failed(admission, hook, failure),
        }
    }

    /// Runs in this thread's instance, which is made if there is none.
    pub(super) fn with_own_instance<T>(
        &self,
        run: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.slot.with_place(|place| {
            let mut instance = match place.take(self.slot.owner) {
                Some(instance) => instance,
                None => Box::new(Instance::new(self)?),
            };
            let result = run(&mut instance);
            // An instance that failed is in an unknown state and is not used again. Neither is one whose call panicked.
            if result.is_ok() {
                place.put(instance, &self.generation);
            }
            result
        })
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

    fn request_body(&self, request: RequestScope<'_>, body: &mut Content) -> Result<Verdict, Failure> {
        self.call(Hook::RequestBodyFilter, |instance| {
            let call = Call {
                content: Some(body),
                ..Call::of(request)
            };
            let (verdict,) = instance.run(&self.used, call, |exports, store| {
                exports.request_body_filter.call(store, ())
            })?;
            self.parse_verdict(verdict)
        })
    }

    fn open_request_stream(&self, heads: Heads<'_>) -> Result<Option<Opening>, Failure> {
        let filter = Filter {
            hook: Hook::RequestStreamFilter,
            of: |exports| &exports.request_stream_filter,
        };
        streams::open(&self.used, filter, heads)
    }

    fn prepare(
        &self,
        request: RequestScope<'_>,
        attempt: &mut dyn Attempt,
        body: Option<&mut Content>,
        number: u32,
    ) -> Result<Verdict, Failure> {
        self.call(Hook::AttemptFilter, |instance| {
            let call = Call {
                attempt: Some(AttemptAccess::Edit(attempt)),
                content: body,
                ..Call::of(request)
            };
            let (verdict,) = instance.run(&self.used, call, |exports, store| {
                exports.prepare.call(store, (number,))
            })?;
            self.parse_verdict(verdict)
        })
    }

    fn judge(
        &self,
        request: RequestScope<'_>,
        attempt: &dyn Attempt,
        response: Option<(&dyn ResponseHead, Option<&str>)>,
        number: u32,
    ) -> Result<Judgement, Failure> {
        self.call(Hook::AttemptFilter, |instance| {
            let call = Call {
                attempt: Some(AttemptAccess::Read(attempt)),
                response: response.map(Response::read),
                ..Call::of(request)
            };
            let (judgement,) = instance.run(&self.used, call, |exports, store| {
                exports.judge.call(store, (number,))
            })?;
            match judgement {
                WasmJudgement::Accept => Ok(Judgement::Accept),
                WasmJudgement::Retry => Ok(Judgement::Retry),
                WasmJudgement::Respond(response) => Ok(Judgement::Respond(self.parse_reply(response)?)),
            }
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
                    head: ResponseAccess::Edit(response),
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

    fn response_body(
        &self,
        request: RequestScope<'_>,
        response: &mut dyn ResponseHead,
        backend: Option<&str>,
        body: &mut Content,
    ) -> Result<Verdict, Failure> {
        self.call(Hook::ResponseBodyFilter, |instance| {
            let call = Call {
                response: Some(Response {
                    head: ResponseAccess::Edit(response),
                    backend,
                }),
                content: Some(body),
                ..Call::of(request)
            };
            let (verdict,) = instance.run(&self.used, call, |exports, store| {
                exports.response_body_filter.call(store, ())
            })?;
            self.parse_verdict(verdict)
        })
    }

    fn open_response_stream(&self, heads: Heads<'_>) -> Result<Option<Opening>, Failure> {
        let filter = Filter {
            hook: Hook::ResponseStreamFilter,
            of: |exports| &exports.response_stream_filter,
        };
        streams::open(&self.used, filter, heads)
    }

    fn finished(
        &self,
        request: RequestScope<'_>,
        response: Option<(&dyn ResponseHead, Option<&str>)>,
        outcome: &Outcome<'_>,
    ) -> Result<(), Failure> {
        self.call(Hook::Finished, |instance| {
            let call = Call {
                response: response.map(Response::read),
                outcome: Some(outcome),
                ..Call::of(request)
            };
            instance.run(&self.used, call, |exports, store| {
                exports.finished.call(store, ())
            })
        })
    }
}

pub(super) fn illegal(detail: String) -> Failure {
    Failure {
        reason: FailureReason::IllegalOutput,
        detail: Shown::new(detail).into(),
    }
}

#[cfg(test)]
mod tests {
    use pace_config::{Sha256, Source};
    use pace_state::Store;
    use prometheus::IntGauge;

    use super::*;
    use crate::{Allocation, Program, builtin, state_limits};

    fn runtime() -> Runtime {
        Runtime::new(None, 1).expect("there is room for a compiler")
    }

    /// A plugin in this runtime. The plugin, and every instance that is kept for it, share the scope.
    fn plugin(runtime: &Runtime, scope: &Arc<Scope>) -> WasmPlugin {
        let component = builtin::component("round-robin").expect("it is a default plugin");
        let program = Program::load(runtime, Allocation::OnDemand, component).expect("it is a plugin");
        let entry = pace_config::Plugin::new("test", Source::File("test.wasm".into()));
        let generation = Generation::new(
            &entry,
            1,
            Sha256::of(component),
            Arc::new(program),
            IntGauge::new("breaker", "breaker").expect("it has a name"),
            Arc::new(|_, _| ()),
        );
        let plugin = WasmPlugin::new(runtime, Arc::new(generation), "{}".to_owned(), Arc::clone(scope));
        plugin.expect("it takes this configuration")
    }

    fn scope() -> Arc<Scope> {
        let limits = state_limits(&pace_config::Limits::default());
        Store::new(usize::MAX).scope("test", "test", limits)
    }

    /// Makes this thread's instance, as any call does.
    fn call(plugin: &WasmPlugin) {
        let called = plugin.used.with_own_instance(|_| Ok(()));
        called.expect("an instance can be made");
    }

    #[test]
    fn plugin_of_one_runtime_has_no_instance_in_another() {
        let (one, other) = (runtime(), runtime());
        let [one, other] = [one, other].map(|runtime| plugin(&runtime, &scope()));
        call(&one);
        assert_eq!(other.usage(), None);
        call(&other);
        assert!(one.usage().is_some() && other.usage().is_some());
    }

    #[test]
    fn slot_of_ended_plugin_is_given_to_the_next_without_its_instance() {
        let (runtime, first) = (runtime(), scope());
        let ended = plugin(&runtime, &first);
        call(&ended);
        drop(ended);
        let next = plugin(&runtime, &scope());
        assert_eq!(next.usage(), None);
        assert_eq!(
            Arc::strong_count(&first),
            2,
            "the instance is there until it is swept"
        );
        call(&next);
        assert_eq!(Arc::strong_count(&first), 1, "the next instance took its place");
    }

    #[test]
    fn sweep_drops_unused_instances_of_its_own_runtime_only() {
        let (one, other) = (runtime(), runtime());
        let (ended, used) = (scope(), scope());
        let ends = plugin(&one, &ended);
        let stays = plugin(&one, &used);
        call(&ends);
        call(&stays);
        drop(ends);
        other.sweep();
        assert_eq!(Arc::strong_count(&ended), 2, "the test and the instance");
        one.sweep();
        assert_eq!(Arc::strong_count(&ended), 1);
        assert!(stays.usage().is_some());
    }

    #[test]
    fn sweep_drops_instances_of_runtimes_that_are_gone() {
        let (gone, other) = (runtime(), runtime());
        let ended = scope();
        let ends = plugin(&gone, &ended);
        call(&ends);
        drop(gone);
        other.sweep();
        assert!(ends.usage().is_some(), "a plugin keeps its runtime's slots");
        drop(ends);
        other.sweep();
        assert_eq!(Arc::strong_count(&ended), 1);
    }

    #[test]
    fn ended_changes_only_for_plugins_of_its_own_runtime() {
        let (one, other) = (runtime(), runtime());
        let ended = one.ended();
        drop(plugin(&other, &scope()));
        assert!(!ended.has_changed().expect("the runtime is there"));
        drop(plugin(&one, &scope()));
        assert!(ended.has_changed().expect("the runtime is there"));
    }
}
