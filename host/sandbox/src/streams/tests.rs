//! Messages of a plugin that has one stream filter, with both lifetimes of instances and in both ways of running.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use pace_config::{Isolation, Limits, Sha256, Source};
use pace_content::body::Content;
use pace_content::frames::Step;
use pace_hook::{
    Ending, Failure, FailureReason, Heads, Message, Opening, Plugin, RequestFacts, RequestState,
};
use pace_state::{Scope, Store};
use prometheus::IntGauge;
use wit_component::StringEncoding;

use crate::direct::tests::heads::Head;
use crate::direct::tests::wrapped;
use crate::{Allocation, Generation, Program, Runtime, WasmPlugin, state_limits};

/// A plugin that opens every message to edit it. The number of bytes of a unit is what becomes of it: 0 to 4 is the step, 5 a
/// trap, 6 a loop. Counters have the sums of the numbers of objects that were shown units, ended and dropped.
const FILTER: &str = r#"(module
  (import "[export]pace:plugin/response-stream-filter@0.1.0" "[resource-new]response-message"
    (func $new (param i32) (result i32)))
  (import "pace:plugin/content@0.1.0" "size" (func $size (result i32)))
  (import "pace:plugin/counters@0.1.0" "[static]counter.open" (func $counter (param i32 i32 i32)))
  (import "pace:plugin/counters@0.1.0" "[method]counter.add" (func $add (param i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "showneddropped")
  (global $opened (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2048))
  (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    (call $counter (i32.const 0) (i32.const 5) (i32.const 512))
    (call $counter (i32.const 5) (i32.const 2) (i32.const 512))
    (call $counter (i32.const 7) (i32.const 7) (i32.const 512))
    (i32.const 64))
  (func (export "pace:plugin/response-stream-filter@0.1.0#open") (result i32)
    (global.set $opened (i32.add (global.get $opened) (i32.const 1)))
    (i32.store8 (i32.const 128) (i32.const 1))
    (i32.store (i32.const 132) (call $new (global.get $opened)))
    (i32.store16 (i32.const 136) (i32.const 256))
    (i32.const 128))
  (func (export "pace:plugin/response-stream-filter@0.1.0#[method]response-message.next") (param i32) (result i32)
    (drop (call $add (i32.const 1) (i64.extend_i32_u (local.get 0))))
    (if (i32.eq (call $size) (i32.const 5)) (then (unreachable)))
    (if (i32.eq (call $size) (i32.const 6)) (then (loop $forever (br $forever))))
    (call $size))
  (func (export "pace:plugin/response-stream-filter@0.1.0#[method]response-message.end") (param i32 i32)
    (drop (call $add (i32.const 2) (i64.extend_i32_u (local.get 0)))))
  (func (export "pace:plugin/response-stream-filter@0.1.0#[dtor]response-message") (param i32)
    (drop (call $add (i32.const 3) (i64.extend_i32_u (local.get 0)))))
)"#;

const TRAP: usize = 5;
const LOOP: usize = 6;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(None, 1).expect("there is a compiler"));

/// A plugin and its counters.
struct Filter {
    plugin: WasmPlugin,
    scope: Arc<Scope>,
    isolation: Isolation,
}

/// The filter with these limits, in each isolation and in both ways.
fn filters(limits: Limits) -> impl Iterator<Item = Filter> {
    const EMPTY: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
    let module = wrapped(FILTER, "response-stream-filtering", StringEncoding::UTF8);
    let component = [module.as_slice(), EMPTY].concat();
    let isolations = [Isolation::Worker, Isolation::Request];
    let all = isolations.map(|isolation| {
        [(&module, "module"), (&component, "component")].map(|(bytes, runs)| {
            let allocation = Allocation::of(isolation, &limits);
            let program = Program::load(&RUNTIME, allocation, bytes).expect("it is a plugin");
            assert_eq!(program.runs(), runs);
            filter(Arc::new(program), bytes, isolation, limits)
        })
    });
    all.into_iter().flatten()
}

fn filter(program: Arc<Program>, bytes: &[u8], isolation: Isolation, limits: Limits) -> Filter {
    let mut entry = pace_config::Plugin::new("test", Source::File("test.wasm".into()));
    (entry.isolation, entry.limits) = (isolation, limits);
    let generation = Generation::new(
        &entry,
        1,
        Sha256::of(bytes),
        program,
        IntGauge::new("breaker", "breaker").expect("it has a name"),
        Arc::new(|_, _| ()),
    );
    let scope = Store::new(usize::MAX).scope("test", "test", state_limits(&limits));
    let plugin = WasmPlugin::new(
        &RUNTIME,
        Arc::new(generation),
        "{}".to_owned(),
        Arc::clone(&scope),
    );
    Filter {
        plugin: plugin.expect("it takes this configuration"),
        scope,
        isolation,
    }
}

fn with_heads<T>(run: impl FnOnce(Heads<'_>) -> T) -> T {
    let facts = RequestFacts {
        client: [192, 0, 2, 7].into(),
        peer: [192, 0, 2, 7].into(),
        peer_is_trusted: false,
        scheme: "http",
        certificate: None,
        route: "all",
        pools: None,
        pool: None,
        request_size: None,
        response_size: None,
        step: 0,
        state: &RequestState::default(),
    };
    let (request, response) = (Head::new(Vec::new()), Head::new(Vec::new()));
    run(Heads {
        request: &request,
        facts: &facts,
        response: Some((&response, None)),
    })
}

impl Filter {
    fn open(&self) -> Result<Box<dyn Message>, Failure> {
        let opening = with_heads(|heads| self.plugin.open_response_stream(heads))?;
        let opening: Opening = opening.expect("it opens every message");
        Ok(opening.message)
    }

    fn opened(&self) -> Box<dyn Message> {
        self.open().expect("there is room for it")
    }

    fn counter(&self, name: &str) -> u64 {
        self.scope.counter(name).expect("it is a legal name").value()
    }

    /// The failures that have counted for breaker and trial, and those that have not.
    fn failures(&self) -> u64 {
        self.plugin.generation().failures()
    }
}

/// Shows a message a unit of so many bytes.
fn show(message: &mut dyn Message, bytes: usize) -> Result<Step, FailureReason> {
    let mut content = Content::unit(Bytes::from(vec![b'a'; bytes]));
    let step = with_heads(|heads| message.next(heads, &mut content, None));
    step.map_err(|failure| failure.reason)
}

fn end(message: Box<dyn Message>) -> Result<(), FailureReason> {
    let mut last = Content::unit(Bytes::new());
    let ended = with_heads(|heads| message.end(heads, Ending::Complete, &mut last));
    ended.map_err(|failure| failure.reason)
}

#[test]
fn message_is_shown_units_and_ended_and_dropped_once() {
    for filter in filters(Limits::default()) {
        let mut message = filter.opened();
        for (bytes, step) in [Step::Pass, Step::Drop, Step::Finish, Step::Stop, Step::Cut]
            .into_iter()
            .enumerate()
        {
            assert_eq!(show(&mut *message, bytes), Ok(step));
        }
        end(message).expect("it does not fail");
        let counted = ["shown", "ed", "dropped"].map(|name| filter.counter(name));
        assert_eq!(counted, [5, 1, 1], "{:?}", filter.isolation);
    }
}

#[test]
fn message_without_end_is_dropped_by_the_plugin() {
    for filter in filters(Limits::default()) {
        drop(filter.opened());
        assert_eq!(filter.counter("dropped"), 1);
        assert_eq!((filter.counter("ed"), filter.failures()), (0, 0));
    }
}

#[test]
fn failed_instance_takes_all_its_messages_along() {
    for filter in filters(Limits::default()) {
        let (mut first, mut second) = (filter.opened(), filter.opened());
        assert_eq!(show(&mut *first, TRAP), Err(FailureReason::Trap));
        assert_eq!(show(&mut *first, 0), Err(FailureReason::InstanceLost));
        let later = show(&mut *second, 0);
        match filter.isolation {
            Isolation::Worker => assert_eq!(later, Err(FailureReason::InstanceLost)),
            Isolation::Request => assert_eq!(later, Ok(Step::Pass)),
        }
        let mut third = filter.opened();
        assert_eq!(show(&mut *third, 0), Ok(Step::Pass), "it is in another instance");
        drop(first);
        assert_eq!(filter.counter("dropped"), 0, "the instance took the object along");
    }
}

#[test]
fn unit_that_takes_too_long_fails_the_message() {
    for filter in filters(Limits::default()) {
        let mut message = filter.opened();
        assert_eq!(show(&mut *message, LOOP), Err(FailureReason::Deadline));
        assert_eq!(end(message), Err(FailureReason::InstanceLost));
    }
}

#[test]
fn messages_beyond_the_limit_are_not_opened() {
    let limits = Limits {
        streams: 2,
        ..Limits::default()
    };
    for filter in filters(limits) {
        let (first, second) = (filter.opened(), filter.opened());
        let third = filter.open().map(drop);
        assert_eq!(
            third.map_err(|failure| failure.reason),
            Err(FailureReason::TooManyStreams)
        );
        drop(first);
        let third = filter.opened();
        end(second).expect("it does not fail");
        let fourth = filter.opened();
        drop((third, fourth));
        assert_eq!(filter.counter("dropped"), 1 + 2 + 3 + 4 - reused(&filter));
    }
}

/// With an instance for each message, every object has the number 1.
fn reused(filter: &Filter) -> u64 {
    match filter.isolation {
        Isolation::Worker => 0,
        Isolation::Request => 6,
    }
}

#[test]
fn worn_instance_stays_for_its_messages_alone() {
    let limits = Limits {
        recycle_uses: 3,
        ..Limits::default()
    };
    for filter in filters(limits) {
        if filter.isolation == Isolation::Request {
            continue;
        }
        let mut old = filter.opened();
        for _ in 0..8 {
            assert_eq!(show(&mut *old, 0), Ok(Step::Pass));
        }
        let mut new = filter.opened();
        assert_eq!(
            show(&mut *new, TRAP),
            Err(FailureReason::Trap),
            "in another instance"
        );
        assert_eq!(show(&mut *old, 0), Ok(Step::Pass));
        assert_eq!(filter.counter("shown"), 10, "both objects have the number 1");
        end(old).expect("its instance has not failed");
    }
}

#[test]
fn oldest_of_many_worn_instances_is_lost() {
    let limits = Limits {
        recycle_uses: 1,
        ..Limits::default()
    };
    for filter in filters(limits) {
        if filter.isolation == Isolation::Request {
            continue;
        }
        let mut messages: Vec<_> = (0..6).map(|_| filter.opened()).collect();
        let shown: Vec<_> = messages
            .iter_mut()
            .map(|message| show(&mut **message, 0))
            .collect();
        let lost = shown
            .iter()
            .filter(|step| **step == Err(FailureReason::InstanceLost))
            .count();
        assert_eq!(
            (shown[0], lost),
            (Err(FailureReason::InstanceLost), 2),
            "{shown:?}"
        );
    }
}

#[test]
fn lost_messages_do_not_count_against_the_plugin() {
    for filter in filters(Limits::default()) {
        if filter.isolation == Isolation::Request {
            continue;
        }
        let mut messages: Vec<_> = (0..20).map(|_| filter.opened()).collect();
        assert_eq!(show(&mut *messages[0], TRAP), Err(FailureReason::Trap));
        for message in &mut messages[1..] {
            assert_eq!(show(&mut **message, 0), Err(FailureReason::InstanceLost));
        }
        assert_eq!(filter.failures(), 20);
        assert!(filter.open().is_ok(), "the breaker is closed");
    }
}
