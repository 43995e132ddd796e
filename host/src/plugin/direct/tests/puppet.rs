//! A plugin that does what a test tells it, run in both ways.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use prometheus::IntGauge;
use wasmparser::{Parser, Payload, TypeRef, ValType};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi};

use super::contract;
use super::heads::{Head, Pool};
use crate::config::{Config, Overrides, Sha256};
use crate::hook::{
    Call, Failure, FailureReason, Hook, Plugin, RequestAccess, RequestScope, Selection, Stage, Verdict,
};
use crate::plugin::{Allocation, Generation, Program, Runtime, WasmPlugin};
use crate::state;

/// What it can call, in the order in which [`Orders`] number it.
pub(super) static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(functions);

/// A function of the contract as a core module imports it.
pub(super) struct Function {
    pub(super) interface: String,
    pub(super) name: String,
    parameters: Vec<ValType>,
    results: Vec<ValType>,
}

/// The puppet's memory that a test fills; what it needs itself is behind.
pub(super) const MEMORY: usize = 2 << 16;

/// Where its orders are in it.
const ORDERS: usize = 1 << 16;

/// What it is to do in a hook.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// What the first half of the memory begins with.
    pub(super) memory: Vec<u8>,
    /// Functions by number, and what they are given.
    pub(super) calls: Vec<(usize, [u64; 5])>,
    pub(super) realloc: Realloc,
    /// What it returns: a pointer, or else all of the memory that a test fills.
    pub(super) result: Option<u32>,
    pub(super) post_return: PostReturn,
}

/// What `cabi_realloc` does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Realloc {
    /// Allocates from here on.
    From(u32),
    /// Returns this, whatever is asked for.
    Fixed(u32),
    Traps,
    /// Calls this function with zeros.
    Calls(usize),
}

/// What frees the result.
#[derive(Clone, Copy, Debug)]
pub(super) enum PostReturn {
    Nothing,
    Traps,
    /// Calls this function with zeros.
    Calls(usize),
}

/// What came of a hook, as its caller sees it.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Verdict(Verdict),
    Selection(Selection),
    Failed(FailureReason),
}

impl Outcome {
    /// The body of a response.
    pub(super) fn memory(&self) -> Option<&[u8]> {
        match self {
            Outcome::Verdict(Verdict::Respond(reply)) | Outcome::Selection(Selection::Respond(reply)) => {
                Some(&reply.body)
            }
            _ => None,
        }
    }
}

/// The outcome, and what became of the messages. The failure's text is apart, because it differs.
#[derive(Debug, PartialEq)]
pub(super) struct Played {
    pub(super) outcome: Outcome,
    pub(super) request: Head,
    pub(super) response: Head,
}

/// As a module and as a component.
pub(super) struct Puppet {
    generation: Arc<Generation>,
}

impl Puppet {
    pub(super) fn module() -> &'static Puppet {
        static PUPPET: LazyLock<Puppet> = LazyLock::new(|| Puppet::new(&component(), "module"));
        &PUPPET
    }

    pub(super) fn component() -> &'static Puppet {
        /// A core module that nobody uses.
        const EMPTY: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
        static PUPPET: LazyLock<Puppet> =
            LazyLock::new(|| Puppet::new(&[component().as_slice(), EMPTY].concat(), "component"));
        &PUPPET
    }

    fn new(component: &[u8], runs: &str) -> Puppet {
        static RUNTIME: LazyLock<Runtime> =
            LazyLock::new(|| Runtime::new(None, 1).expect("there is a compiler"));
        let program = Program::load(&RUNTIME, Allocation::OnDemand, component).expect("it is a plugin");
        assert_eq!(program.runs(), runs);
        let config = Config::parse(CONFIG, Path::new("puppet.toml"), &Overrides::default());
        let config = config.expect("it is valid");
        let hash = Sha256::parse(&"0".repeat(64)).expect("it has the form of one");
        let gauge = IntGauge::new("breaker", "breaker").expect("it has a name");
        let generation = Generation::new(
            &config.plugins[0],
            1,
            hash,
            Arc::new(program),
            gauge,
            Arc::new(|_, _| ()),
        );
        Puppet {
            generation: Arc::new(generation),
        }
    }

    /// A new instance with counters and windows of its own carries out the orders in a hook.
    pub(super) fn play(&self, hook: Hook, orders: &Orders) -> (Played, Option<String>) {
        let scope = state::Store::new().scope("puppet", state::Limits::default());
        let plugin = WasmPlugin::new(Arc::clone(&self.generation), "{}".to_owned(), scope);
        let plugin = plugin.expect("it takes every configuration");
        let mut request = Head::new(orders.encode());
        let mut response = Head::new(Vec::new());
        let scope = |head| RequestScope {
            head,
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            scheme: "http",
        };
        let result = match hook {
            Hook::RequestFilter => plugin
                .request_filter(Call {
                    request: scope(RequestAccess::Edit(&mut request)),
                    stage: Stage::RequestFilter,
                })
                .map(Outcome::Verdict),
            Hook::SelectUpstream => plugin
                .select_upstream(Call {
                    request: scope(RequestAccess::Read(&request)),
                    stage: Stage::SelectUpstream {
                        candidates: &Pool,
                        attempt: 2,
                    },
                })
                .map(Outcome::Selection),
            Hook::ResponseFilter => plugin
                .response_filter(Call {
                    request: scope(RequestAccess::Read(&request)),
                    stage: Stage::ResponseFilter {
                        response: &mut response,
                        backend: Some("127.0.0.1:8000"),
                    },
                })
                .map(Outcome::Verdict),
        };
        let (outcome, detail) = match result {
            Ok(outcome) => (outcome, None),
            Err(Failure { reason, detail }) => (Outcome::Failed(reason), Some(detail)),
        };
        let played = Played {
            outcome,
            request,
            response,
        };
        (played, detail)
    }
}

/// It may fail as often as it wants, and take its time.
const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"

[[plugins]]
name = "puppet"
wasm = "builtin:round-robin"
limits = { time_ms = 1000, memory_mb = 1 }
breaker = { failures = 0 }
rollback = { calls = 0 }

[[pools]]
name = "web"
backends = ["127.0.0.1:1"]

[[routes]]
pool = "web"
plugins = ["puppet"]
"#;

impl Orders {
    /// What the puppet's memory is filled with.
    fn encode(&self) -> Vec<u8> {
        let mut memory = self.memory.clone();
        memory.resize(MEMORY, 0);
        let thunk = |function: usize| function as u32 + 1;
        let (realloc, at) = match self.realloc {
            Realloc::From(at) => (0, at),
            Realloc::Fixed(at) => (1, at),
            Realloc::Traps => (2, 0),
            Realloc::Calls(function) => (3, thunk(function)),
        };
        let (post_return, after) = match self.post_return {
            PostReturn::Nothing => (0, 0),
            PostReturn::Traps => (1, 0),
            PostReturn::Calls(function) => (2, thunk(function)),
        };
        let words = [
            self.calls.len() as u32,
            realloc,
            at,
            post_return,
            after,
            u32::from(self.result.is_some()),
            self.result.unwrap_or_default(),
        ];
        let mut at = ORDERS;
        let mut write = |bytes: &[u8]| {
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        words.iter().for_each(|word| write(&word.to_le_bytes()));
        write(&[0; 4]);
        for (function, parameters) in &self.calls {
            write(&u64::from(thunk(*function)).to_le_bytes());
            parameters
                .iter()
                .for_each(|parameter| write(&parameter.to_le_bytes()));
            write(&[0; 16]);
        }
        memory
    }
}

fn functions() -> Vec<Function> {
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("plugin"));
    let world = world.expect("the contract has this world");
    let dummy = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    let mut types = Vec::new();
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(&dummy) {
        match payload.expect("it is valid") {
            Payload::TypeSection(section) => {
                let all = section.into_iter_err_on_gc_types();
                types = all.map(|found| found.expect("they are functions")).collect();
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("it is valid");
                    let TypeRef::Func(index) = import.ty else {
                        panic!("the contract has nothing but functions");
                    };
                    let of_type = &types[index as usize];
                    functions.push(Function {
                        interface: import.module.to_owned(),
                        name: import.name.to_owned(),
                        parameters: of_type.params().to_vec(),
                        results: of_type.results().to_vec(),
                    });
                }
            }
            _ => {}
        }
    }
    functions
}

fn component() -> Vec<u8> {
    let mut module = wat::parse_str(text()).expect("the text is valid");
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("plugin"));
    let world = world.expect("the contract has this world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it can have a type");
    let encoder = ComponentEncoder::default().module(&module);
    let encoded = encoder.and_then(|mut encoder| encoder.encode());
    encoded.expect("it is a component")
}

/// Each function is called by one without parameters, which finds those behind `$call`.
fn text() -> String {
    let (mut imports, mut thunks, mut table) = (String::new(), String::new(), String::new());
    for (number, function) in FUNCTIONS.iter().enumerate() {
        let Function {
            interface,
            name,
            parameters,
            results,
        } = function;
        let list = |what: &str, types: &[ValType]| {
            types
                .iter()
                .fold(String::new(), |text, kind| format!("{text} ({what} {kind})"))
        };
        let (given, returned) = (list("param", parameters), list("result", results));
        writeln!(
            imports,
            "(import {interface:?} {name:?} (func $f{number}{given}{returned}))"
        )
        .expect("a String takes every write");
        let loads = parameters
            .iter()
            .enumerate()
            .fold(String::new(), |text, (place, kind)| {
                format!("{text} ({kind}.load offset={} (global.get $call))", 8 + 8 * place)
            });
        let call = match results.as_slice() {
            [] => format!("(call $f{number} {loads})"),
            [kind] => format!("({kind}.store offset=48 (global.get $call) (call $f{number} {loads}))"),
            _ => panic!("there is one result at most"),
        };
        writeln!(thunks, "(func $t{number} {call})").expect("a String takes every write");
        write!(table, " $t{number}").expect("a String takes every write");
    }
    let of = |name: &str| {
        let number = FUNCTIONS.iter().position(|function| function.name == name);
        number.expect("the contract has it").to_string()
    };
    TEXT.replace("{imports}", &imports)
        .replace("{header}", &of("header"))
        .replace("{counter}", &of("[static]counter.open"))
        .replace("{window}", &of("[static]window.open"))
        .replace("{thunks}", &thunks)
        .replace("{table}", &table)
        .replace("{elements}", &(FUNCTIONS.len() + 1).to_string())
}

/// Orders are at 65536: the number of calls, what `cabi_realloc` does and with what, what frees the result and
/// with what, whether there is a pointer to return, and which. Calls follow at 65568, with 64 bytes each. The
/// puppet's own memory begins at 131072.
const TEXT: &str = r#"(module
  {imports}
  (type $thunk (func))
  (memory (export "memory") 3)
  (data (i32.const 131072) "orders")
  (table {elements} funcref)
  (elem (i32.const 1) func {table})
  {thunks}
  ;; What is called, and zeros behind it.
  (global $call (mut i32) (i32.const 131584))
  (global $obeys (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 0))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    ;; The configuration is written behind, the orders to the beginning.
    (if (i32.eqz (global.get $obeys))
      (then (return (select (i32.const 0) (i32.const 132096) (i32.eq (local.get 3) (i32.const 131072))))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 2)) (then (unreachable)))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 3))
      (then
        (global.set $call (i32.const 131584))
        (call_indirect (type $thunk) (i32.load offset=65544 (i32.const 0)))
        (return (i32.const 0))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 1))
      (then (return (i32.load offset=65544 (i32.const 0)))))
    (local.set $at
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))

  (func $run (result i32)
    (local $left i32)
    (call $image (i32.const 131072) (i32.const 6) (i32.const 131088))
    (global.set $next (i32.load offset=65544 (i32.const 0)))
    (global.set $call (i32.const 65568))
    (local.set $left (i32.load offset=65536 (i32.const 0)))
    (global.set $obeys (i32.const 1))
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $left)))
        (call_indirect (type $thunk) (i32.load (global.get $call)))
        (global.set $call (i32.add (global.get $call) (i32.const 64)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $more)))
    (i32.load offset=65556 (i32.const 0)))

  ;; A response with all of the memory: the case, the status, no headers, the body.
  (func $all (param $case i32) (result i32)
    (i32.store8 (i32.const 131200) (local.get $case))
    (i32.store16 (i32.const 131204) (i32.const 200))
    (i32.store (i32.const 131220) (i32.const 131072))
    (i32.const 131200))

  (func $image (param i32 i32 i32)
    (call $f{header} (local.get 0) (local.get 1) (local.get 2)))

  (func $filter (export "pace:plugin/request-filter@0.1.0#filter") (result i32)
    (if (result i32) (call $run)
      (then (i32.load offset=65560 (i32.const 0)))
      (else (call $all (i32.const 1)))))
  (export "pace:plugin/response-filter@0.1.0#filter" (func $filter))
  (func (export "pace:plugin/select-upstream@0.1.0#select") (param i32) (result i32)
    (if (result i32) (call $run)
      (then (i32.load offset=65560 (i32.const 0)))
      (else (call $all (i32.const 2)))))

  (func $free (export "cabi_post_pace:plugin/request-filter@0.1.0#filter") (param i32)
    (if (i32.eq (i32.load offset=65548 (i32.const 0)) (i32.const 1)) (then (unreachable)))
    (if (i32.eq (i32.load offset=65548 (i32.const 0)) (i32.const 2))
      (then
        (global.set $call (i32.const 131584))
        (call_indirect (type $thunk) (i32.load offset=65552 (i32.const 0))))))
  (export "cabi_post_pace:plugin/response-filter@0.1.0#filter" (func $free))
  (export "cabi_post_pace:plugin/select-upstream@0.1.0#select" (func $free))

  ;; Opens a counter and a window, whose handles are 1 and 2.
  (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    (call $f{counter} (i32.const 131072) (i32.const 6) (i32.const 131136))
    (call $f{window} (i32.const 131072) (i32.const 6) (i32.const 1000) (i64.const 604800000) (i32.const 131136))
    (i32.const 131328))
)"#;
