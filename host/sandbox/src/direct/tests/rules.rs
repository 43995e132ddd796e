//! Modules that do things that the puppet cannot: in another place, or with other exports.

use std::fmt::Write;

use super::puppet::{Both, FUNCTIONS, Function, Orders, Outcome, PostReturn, Realloc};
use pace_hook::{FailureReason, Hook, Verdict};

const LIFECYCLE: &str = "pace:plugin/lifecycle@0.1.0#configure";
const REQUEST_FILTER: &str = "pace:plugin/request-filter@0.1.0#filter";

/// Makes an instance in both ways, and calls `request-filter`.
#[track_caller]
fn run(module: &str) -> (Outcome, String) {
    let nothing = Orders {
        memory: Vec::new(),
        calls: Vec::new(),
        realloc: Realloc::From(0),
        result: None,
        post_return: PostReturn::Nothing,
    };
    let (outcome, detail) = Both::of(module, "request-filtering").play(Hook::RequestFilter, &nothing);
    (outcome, detail.unwrap_or_default())
}

/// A plugin that does nothing, unless one of its functions is replaced. Zeros are at 64.
struct Plugin {
    imports: String,
    realloc: String,
    configure: String,
    filter: String,
    more: String,
}

impl Default for Plugin {
    fn default() -> Plugin {
        Plugin {
            imports: String::new(),
            realloc:
                r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2048))"#
                    .to_owned(),
            configure: format!(
                r#"(func (export "{LIFECYCLE}") (param i32 i32) (result i32) (i32.const 64))"#
            ),
            filter: format!(r#"(func (export "{REQUEST_FILTER}") (result i32) (i32.const 64))"#),
            more: String::new(),
        }
    }
}

impl Plugin {
    fn text(&self) -> String {
        let Plugin {
            imports,
            realloc,
            configure,
            filter,
            more,
        } = self;
        format!(r#"(module {imports} (memory (export "memory") 1) {realloc} {configure} {filter} {more})"#)
    }
}

/// An import of a function of the contract as `$it`, and a function `$call` that calls it with zeros.
fn calling(number: usize) -> (String, String) {
    let function = &FUNCTIONS[number];
    let (mut zeros, drop) = (
        String::new(),
        if function.results.is_empty() { "" } else { "(drop)" },
    );
    for kind in &function.parameters {
        write!(zeros, " ({kind}.const 0)").expect("a String takes every write");
    }
    (
        function.import("$it"),
        format!("(func $call (call $it {zeros}) {drop})"),
    )
}

/// There is neither a request nor a handle then, and while the instance starts no memory either.
#[test]
fn functions_called_before_a_request_fail_unless_they_need_none() {
    let of_host = |number: &usize| !FUNCTIONS[*number].is_of_own_resource();
    for number in (0..FUNCTIONS.len()).filter(of_host) {
        let name = (&*FUNCTIONS[number].interface, &*FUNCTIONS[number].name);
        let (imports, call) = calling(number);
        let (starting, detail) = run(&Plugin {
            imports: imports.clone(),
            more: format!("{call} (start $call)"),
            ..Plugin::default()
        }
        .text());
        let may = matches!(name.1, "monotonic" | "wall" | "enabled" | "number");
        assert_eq!(
            starting == Outcome::Failed(FailureReason::Configure),
            !may,
            "{name:?} at the start: {detail}"
        );

        let (configuring, detail) = run(&Plugin {
            imports,
            configure: format!(
                r#"(func (export "{LIFECYCLE}") (param i32 i32) (result i32) (call $call) (i32.const 64))"#
            ),
            more: call,
            ..Plugin::default()
        }
        .text());
        let needs_none = ["secrets", "random"].iter().any(|of| name.0.contains(of));
        let may = may || needs_none || name.1 == "write" || name.1.starts_with("[static]");
        assert_eq!(
            configuring == Outcome::Failed(FailureReason::Configure),
            !may,
            "{name:?} in configure: {detail}"
        );
    }
}

/// The places of the result are around the end of the memory, and some are not aligned.
#[test]
fn result_of_configure_is_read_only_where_it_is_valid() {
    const END: u32 = 1 << 16;
    let places = [
        0,
        1,
        2,
        4,
        62,
        END - 12,
        END - 11,
        END - 8,
        END - 4,
        END,
        END + 4,
        u32::MAX - 3,
        u32::MAX,
    ];
    for at in places {
        for (case, text, length) in [
            (0_u32, 0, 0),
            (1, 256, 3),
            (1, END, 0),
            (1, END, 1),
            (1, END + 1, 0),
            (1, u32::MAX, 2),
            (1, 0, u32::MAX),
            (1, 300, 2),
            (2, 256, 3),
            (0x101, 256, 3),
            (255, 256, 3),
        ] {
            let inside = at.is_multiple_of(4) && at <= END - 12;
            let store = if at <= END - 12 {
                format!(
                    "(i32.store (i32.const {at}) (i32.const {case}))
                     (i32.store offset=4 (i32.const {at}) (i32.const {text}))
                     (i32.store offset=8 (i32.const {at}) (i32.const {length}))"
                )
            } else {
                String::new()
            };
            let (outcome, detail) = run(&Plugin {
                configure: format!(
                    r#"(func (export "{LIFECYCLE}") (param i32 i32) (result i32) {store} (i32.const {at}))
                       (data (i32.const 256) "no!") (data (i32.const 300) "\c3\28")"#
                ),
                ..Plugin::default()
            }
            .text());
            let refused = match (text, length) {
                (256, 3) => Some("no!"),
                (END, 0) => Some(""),
                _ => None,
            };
            let expected = match case.to_le_bytes()[0] {
                _ if !inside => None,
                0 => Some(Outcome::Verdict(Verdict::Next)),
                1 => refused.map(|text| Outcome::Refused(text.to_owned())),
                _ => None,
            };
            let expected = expected.unwrap_or(Outcome::Failed(FailureReason::Configure));
            assert_eq!(outcome, expected, "{:?}: {detail}", (at, case, text, length));
        }
    }
}

/// Each function of the host is exported again under the name of an export that has the same type.
#[test]
fn functions_of_the_host_exported_by_the_plugin_fail_in_both_ways() {
    let mut tried = Vec::new();
    // `has` is a `configure` that returns 0, where there is a result that says yes.
    let of_host = |function: &&Function| !function.is_of_own_resource() && function.name != "has";
    for function in FUNCTIONS.iter().filter(of_host) {
        let kinds = |kinds: &[wasmparser::ValType]| {
            kinds
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let of_type = (kinds(&function.parameters), kinds(&function.results));
        let export = |name: &str| format!(r#"(export "{name}" (func $it))"#);
        let import = || Plugin {
            imports: function.import("$it"),
            ..Plugin::default()
        };
        let plugin = match (of_type.0.as_str(), of_type.1.as_str()) {
            ("i32 i32 i32 i32", "i32") => Plugin {
                realloc: export("cabi_realloc"),
                ..import()
            },
            ("i32 i32", "i32") => Plugin {
                configure: export(LIFECYCLE),
                ..import()
            },
            ("", "i32") => Plugin {
                filter: export(REQUEST_FILTER),
                ..import()
            },
            ("i32", "") => Plugin {
                more: export(&format!("cabi_post_{REQUEST_FILTER}")),
                ..import()
            },
            _ => continue,
        };
        let (outcome, detail) = run(&plugin.text());
        assert!(
            matches!(outcome, Outcome::Failed(_)),
            "{}: {outcome:?} {detail}",
            function.name
        );
        tried.push(function.name.as_str());
    }
    for name in [
        "[method]window.count",
        "count",
        "status",
        "[resource-drop]counter",
        "method",
    ] {
        assert!(tried.contains(&name), "{name} is not in {tried:?}");
    }
}

#[test]
fn configuration_that_is_allocated_outside_the_memory_fails() {
    const END: u32 = 1 << 16;
    for (at, fits) in [
        (0, true),
        (END - 2, true),
        (END - 1, false),
        (END, false),
        (u32::MAX, false),
    ] {
        let (outcome, detail) = run(&Plugin {
            realloc: format!(
                r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const {at}))"#
            ),
            ..Plugin::default()
        }
        .text());
        let failed = outcome == Outcome::Failed(FailureReason::Configure);
        assert_eq!(failed, !fits, "at {at}: {detail}");
    }
}
