//! The puppet's text, which imports every function of the contract.

use std::fmt::Write;
use std::sync::LazyLock;

use wasmparser::{Parser, Payload, TypeRef, ValType};
use wit_component::dummy_module;
use wit_parser::{LiftLowerAbi, ManglingAndAbi};

use super::super::contract;

/// The functions of the contract, in the order in which [`Orders`](super::Orders) number them.
pub(in super::super) static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(functions);

/// A function of the contract as a core module imports it.
pub(in super::super) struct Function {
    pub(in super::super) interface: String,
    pub(in super::super) name: String,
    pub(in super::super) parameters: Vec<ValType>,
    pub(in super::super) results: Vec<ValType>,
}

impl Function {
    /// Whether the function is for handles to a resource that the plugin itself exports.
    pub(in super::super) fn is_of_own_resource(&self) -> bool {
        self.interface.starts_with("[export]")
    }

    /// The text that imports the function under a name, such as `$f`.
    pub(in super::super) fn import(&self, name: &str) -> String {
        let list = |what: &str, types: &[ValType]| {
            types
                .iter()
                .fold(String::new(), |text, kind| format!("{text} ({what} {kind})"))
        };
        format!(
            "(import {:?} {:?} (func {name}{}{}))",
            self.interface,
            self.name,
            list("param", &self.parameters),
            list("result", &self.results)
        )
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

/// The number of a function of an interface, which is named as in the contract or as in an import.
pub(in super::super) fn number(interface: &str, name: &str) -> usize {
    let import = format!("pace:plugin/{interface}@0.1.0");
    let is_it = |function: &Function| {
        [interface, &import].contains(&function.interface.as_str()) && function.name == name
    };
    let found = FUNCTIONS.iter().position(is_it);
    found.unwrap_or_else(|| panic!("the contract has no {name} in {interface}"))
}

/// The puppet's text. Each function has a thunk without parameters, which takes them from the memory behind `$call`.
pub(super) fn text() -> String {
    let (mut imports, mut thunks, mut table) = (String::new(), String::new(), String::new());
    for (number, function) in FUNCTIONS.iter().enumerate() {
        let Function {
            parameters, results, ..
        } = function;
        writeln!(imports, "{}", function.import(&format!("$f{number}"))).expect("a String takes every write");
        let loads = parameters
            .iter()
            .enumerate()
            .fold(String::new(), |text, (place, kind)| {
                format!("{text} ({kind}.load offset={} (global.get $call))", 8 + 8 * place)
            });
        let call = match results.as_slice() {
            [] => format!("(call $f{number} {loads})"),
            [kind] => format!("({kind}.store offset=112 (global.get $call) (call $f{number} {loads}))"),
            _ => panic!("there is one result at most"),
        };
        writeln!(thunks, "(func $t{number} {call})").expect("a String takes every write");
        write!(table, " $t{number}").expect("a String takes every write");
    }
    let of = |interface: &str, name: &str| number(interface, name).to_string();
    let own = |of: &str| {
        let interface = format!("[export]pace:plugin/{of}-stream-filter@0.1.0");
        number(&interface, &format!("[resource-new]{of}-message")).to_string()
    };
    TEXT.replace("{imports}", &imports)
        .replace("{header}", &of("request", "header"))
        .replace("{counter}", &of("counters", "[static]counter.open"))
        .replace("{add}", &of("counters", "[method]counter.add"))
        .replace("{window}", &of("windows", "[static]window.open"))
        .replace("{sum}", &of("metrics", "[static]counter.open"))
        .replace("{gauge}", &of("metrics", "[static]gauge.open"))
        .replace("{values}", &of("tables", "[static]table.open"))
        .replace("{histogram}", &of("metrics", "[static]histogram.open"))
        .replace("{new-request}", &own("request"))
        .replace("{new-response}", &own("response"))
        .replace("{thunks}", &thunks)
        .replace("{table}", &table)
        .replace("{elements}", &(FUNCTIONS.len() + 1).to_string())
}

/// The template of the text.
///
/// Orders are at 65536: the number of calls, the behaviour of `cabi_realloc` and its argument, the behaviour of the
/// function that frees the result and its argument, whether there is a pointer to return, and the pointer. Calls follow at
/// 65568, with 128 bytes each: the function at 0, its parameters from 8 on, its result at 112. The puppet's own memory begins at 131072.
const TEXT: &str = r#"(module
  {imports}
  (type $thunk (func))
  (memory (export "memory") 11)
  (data (i32.const 131072) "orders")
  ;; The number 1 as an f64.
  (data (i32.const 131104) "\00\00\00\00\00\00\f0\3f")
  (table {elements} funcref)
  (elem (i32.const 1) func {table})
  {thunks}
  ;; What is called, and zeros behind it.
  (global $call (mut i32) (i32.const 131584))
  (global $obeys (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 0))

  ;; As numbered by `Misdeed`.
  (func $misbehave (param i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (loop $forever (br $forever))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (call $misbehave (i32.const 2))))
    (if (i32.eq (local.get 0) (i32.const 3)) (then (drop (memory.grow (i32.const 100)))))
    (unreachable))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    ;; The configuration is written behind, the orders to the beginning.
    (if (i32.eqz (global.get $obeys))
      (then (return (select (i32.const 0) (i32.const 132096) (i32.eq (local.get 3) (i32.const 131072))))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 2))
      (then (call $misbehave (i32.load offset=65544 (i32.const 0)))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 3))
      (then
        (global.set $call (i32.const 131584))
        (call_indirect (type $thunk) (i32.load offset=65544 (i32.const 0)))
        (return (i32.const 0))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 1))
      (then (return (i32.load offset=65544 (i32.const 0)))))
    (if (i32.eq (i32.load offset=65540 (i32.const 0)) (i32.const 4))
      (then (drop (memory.grow (i32.const 1)))))
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
        (global.set $call (i32.add (global.get $call) (i32.const 128)))
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
  (export "pace:plugin/request-body-filter@0.1.0#filter" (func $filter))
  (export "pace:plugin/response-body-filter@0.1.0#filter" (func $filter))
  (func (export "pace:plugin/select-upstream@0.1.0#select") (param i32) (result i32)
    (if (result i32) (call $run)
      (then (i32.load offset=65560 (i32.const 0)))
      (else (call $all (i32.const 2)))))

  (func (export "pace:plugin/attempt-filter@0.1.0#prepare") (param i32) (result i32)
    (call $filter))
  (func (export "pace:plugin/attempt-filter@0.1.0#judge") (param i32) (result i32)
    (if (result i32) (call $run)
      (then (i32.load offset=65560 (i32.const 0)))
      (else (call $all (i32.const 2)))))

  ;; There is no result to compare, so a counter gets a sum of all the memory that a test fills.
  (func $observe (export "pace:plugin/finished@0.1.0#observe")
    (local $at i32)
    (local $sum i64)
    (drop (call $run))
    (loop $more
      (local.set $sum
        (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 131072))))
    (call $tell (local.get $sum)))

  (func $tell (param $sum i64)
    (call $f{counter} (i32.const 131072) (i32.const 6) (i32.const 131136))
    (if (i32.eqz (i32.load8_u (i32.const 131136)))
      (then (drop (call $f{add} (i32.load (i32.const 131140)) (local.get $sum))))))

  ;; The result that is ordered, or that of an opening to edit events, with the object 5 and no interest.
  (func $open (param $handle i32) (result i32)
    (call $image (i32.const 131072) (i32.const 6) (i32.const 131088))
    (if (i32.load offset=65556 (i32.const 0))
      (then (return (i32.load offset=65560 (i32.const 0)))))
    (i32.store8 (i32.const 131232) (i32.const 1))
    (i32.store (i32.const 131236) (local.get $handle))
    (i32.store8 (i32.const 131240) (i32.const 2))
    (i32.store8 (i32.const 131241) (i32.const 1))
    (i32.const 131232))
  (func (export "pace:plugin/request-stream-filter@0.1.0#open") (result i32)
    (call $open (call $f{new-request} (i32.const 5))))
  (func (export "pace:plugin/response-stream-filter@0.1.0#open") (result i32)
    (call $open (call $f{new-response} (i32.const 5))))
  (func $message.next (export "pace:plugin/request-stream-filter@0.1.0#[method]request-message.next") (param i32) (result i32)
    (call $observe)
    (i32.sub (local.get 0) (i32.const 4)))
  (export "pace:plugin/response-stream-filter@0.1.0#[method]response-message.next" (func $message.next))
  (func $message.end (export "pace:plugin/request-stream-filter@0.1.0#[method]request-message.end") (param i32 i32)
    (call $tell (i64.extend_i32_u (i32.add (i32.mul (local.get 0) (i32.const 1000)) (local.get 1)))))
  (export "pace:plugin/response-stream-filter@0.1.0#[method]response-message.end" (func $message.end))
  (func $message.drop (export "pace:plugin/request-stream-filter@0.1.0#[dtor]request-message") (param i32)
    (call $tell (i64.extend_i32_u (i32.mul (local.get 0) (i32.const 77)))))
  (export "pace:plugin/response-stream-filter@0.1.0#[dtor]response-message" (func $message.drop))

  (func $free (export "cabi_post_pace:plugin/request-filter@0.1.0#filter") (param i32)
    (if (i32.eq (i32.load offset=65548 (i32.const 0)) (i32.const 1))
      (then (call $misbehave (i32.load offset=65552 (i32.const 0)))))
    (if (i32.eq (i32.load offset=65548 (i32.const 0)) (i32.const 2))
      (then
        (global.set $call (i32.const 131584))
        (call_indirect (type $thunk) (i32.load offset=65552 (i32.const 0))))))
  (export "cabi_post_pace:plugin/response-filter@0.1.0#filter" (func $free))
  (export "cabi_post_pace:plugin/select-upstream@0.1.0#select" (func $free))
  (export "cabi_post_pace:plugin/attempt-filter@0.1.0#prepare" (func $free))
  (export "cabi_post_pace:plugin/attempt-filter@0.1.0#judge" (func $free))
  (export "cabi_post_pace:plugin/request-stream-filter@0.1.0#open" (func $free))
  (export "cabi_post_pace:plugin/response-stream-filter@0.1.0#open" (func $free))

  ;; Opens what `OPENED` says. Their names are beginnings of one word.
  (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    (call $f{counter} (i32.const 131072) (i32.const 6) (i32.const 131136))
    (call $f{window} (i32.const 131072) (i32.const 6) (i32.const 1000) (i64.const 604800000) (i32.const 131136))
    (call $f{sum} (i32.const 131072) (i32.const 6) (i32.const 131072) (i32.const 0) (i32.const 131072) (i32.const 0)
      (i32.const 131136))
    (call $f{gauge} (i32.const 131072) (i32.const 5) (i32.const 131072) (i32.const 0) (i32.const 131072) (i32.const 0)
      (i32.const 131136))
    (call $f{histogram} (i32.const 131072) (i32.const 4) (i32.const 131072) (i32.const 0) (i32.const 131072)
      (i32.const 0) (i32.const 131104) (i32.const 1) (i32.const 131136))
    (call $f{values} (i32.const 131072) (i32.const 6) (i32.const 131136))
    (i32.const 131328))
)"#;
