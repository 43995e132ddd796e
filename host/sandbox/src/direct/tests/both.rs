//! The canonical ABI of this crate against that of wasmtime: the same orders have the same outcome.

use super::puppet::{
    ALL_MEMORY, Both, FUNCTIONS, Misdeed, Orders, Outcome, Part, PostReturn, Realloc, number,
};
use pace_hook::{FailureReason, Hook};

/// Orders of nothing but these calls, with allocation from 1024 on.
fn calling(calls: Vec<(usize, [u64; 5])>) -> Orders {
    let calls = calls
        .into_iter()
        .map(|(function, given)| (function, given.to_vec()));
    Orders {
        memory: [b"a\0\0\0\0\0\0\0x_new\0\0\0/c?d\0\0\0\0counter", MORE_MEMORY].concat(),
        calls: calls.collect(),
        realloc: Realloc::From(1024),
        result: None,
        post_return: PostReturn::Nothing,
    }
}

/// A list with the text `x_new` at 32, the numbers 1 and 2 at 40, and the name of a pool at 56.
const MORE_MEMORY: &[u8] = b"\0\x08\0\0\0\x05\0\0\0\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40web";

/// The module's own resource to which a function is, as the module imports it.
fn own<'a>((interface, function): (&str, &'a str)) -> Option<&'a str> {
    let handled = function
        .strip_prefix("[resource-rep]")
        .or_else(|| function.strip_prefix("[resource-drop]"));
    handled.filter(|_| interface.starts_with("[export]"))
}

/// The answers to legal parameters are in the memory, which is compared bit by bit.
#[test]
fn every_function_in_every_hook_gives_the_same_answer() {
    const OUT: u64 = 512;
    for part in Hook::ALL.map(Part::Of).into_iter().chain([Part::Judge]) {
        for (function, of) in FUNCTIONS.iter().enumerate() {
            let name = (of.interface.as_str(), of.name.as_str());
            // A name at 0 with one byte, or with five at 8; a target at 16, a name at 24; the answer at 512.
            let parameters: &[[u64; 5]] = match name.1 {
                "header" | "header-values" => &[[0, 1, OUT, 0, 0], [8, 5, OUT, 0, 0]],
                "remove-header" => &[[0, 1, OUT, 0, 0], [8, 5, OUT, 0, 0], [16, 4, OUT, 0, 0]],
                "set-header" | "append-header" => {
                    &[[8, 5, 0, 1, OUT], [0, 1, 24, 0, OUT], [16, 4, 0, 1, OUT]]
                }
                "use-pool" => &[[24, 7, OUT, 0, 0], [56, 3, OUT, 0, 0]],
                "set-authority" => &[[8, 5, OUT, 0, 0], [16, 4, OUT, 0, 0]],
                "limit-time" => &[[500, OUT, 0, 0, 0], [0, OUT, 0, 0, 0], [86_400_001, OUT, 0, 0, 0]],
                "set-path-and-query" => &[[16, 4, OUT, 0, 0], [0, 1, OUT, 0, 0]],
                "set-status" => &[
                    [404, OUT, 0, 0, 0],
                    [99, OUT, 0, 0, 0],
                    [0x1_0000 + 201, OUT, 0, 0, 0],
                ],
                "[static]counter.open" => &[[24, 7, OUT, 0, 0], [16, 4, OUT, 0, 0]],
                "[static]window.open" => &[[24, 7, 5, 1000, OUT], [24, 7, 0, 1000, OUT], [16, 4, 5, 1, OUT]],
                "[method]counter.add" | "[method]counter.swap" => &[[1, u64::MAX, 0, 0, 0]],
                "[method]counter.value" | "[resource-drop]counter" => &[[1, 0, 0, 0, 0]],
                "[resource-drop]window" => &[[2, 0, 0, 0, 0]],
                "read" => &[[2, 5, OUT, 0, 0], [u64::from(u32::MAX), 9, OUT, 0, 0]],
                "find" => &[[0, 1, 0, OUT, 0], [0, 0, 7, OUT, 0], [8, 5, 0, OUT, 0]],
                "replace" => &[[24, 7, OUT, 0, 0]],
                "splice" => &[[1, 2, 24, 7, OUT], [9, 200, 24, 7, OUT]],
                "digest" => &[[0, 0, OUT, 0, 0], [1, 1, OUT, 0, 0], [3, 1, OUT, 0, 0]],
                "hmac" | "verify-hmac" => &[[2, 24, 7, 0, 1]],
                "set-event-type" => &[[0, 0, 0, OUT, 0], [1, 24, 7, OUT, 0], [1, 4, 4, OUT, 0]],
                _ if own(name).is_some() => &[[7, 0, 0, 0, 0]],
                "[method]window.hit" | "[method]window.count" => &[
                    [2, 0, 0, 0, OUT],
                    [2, 1, 24, 64, OUT],
                    [2, 1, 0x1_18, 0, OUT],
                    [2, 2, 24, 7, OUT],
                ],
                "tried" | "address" | "weight" | "health" | "in-flight" | "latency" => {
                    &[[0, OUT, 0, 0, 0], [1, OUT, 0, 0, 0], [2, OUT, 0, 0, 0]]
                }
                "enabled" | "write" => &[[0, 24, 7, 0, 0], [4, 24, 7, 0, 0]],
                "[method]window.refund" => &[[2, 0, 0, 0, 1], [2, 2, 24, 7, 5]],
                _ => &[[OUT, 0, 0, 0, 0]],
            };
            let parameters = match of.interface.as_str() {
                "pace:plugin/attempt@0.1.0" if of.name == "set-secret-header" => vec![
                    vec![8, 5, 0, 1, 8, 5, OUT],
                    vec![8, 5, 0, 1, 24, 7, OUT],
                    vec![16, 4, 0, 1, 8, 5, OUT],
                ],
                "pace:plugin/secrets@0.1.0" => of_secrets(&of.name, OUT),
                "pace:plugin/tables@0.1.0" => of_tables(&of.name, OUT),
                "pace:plugin/random@0.1.0" if of.name == "bytes" => vec![vec![9, OUT], vec![0, OUT]],
                "pace:plugin/metrics@0.1.0" => of_metrics(&of.name, OUT),
                "pace:plugin/windows@0.1.0" if parameters[0][0] == OUT => vec![
                    vec![2, 0, 0, 0, 7, OUT],
                    vec![2, 1, 24, 64, 1001, OUT],
                    vec![2, 2, 24, 7, 0, OUT],
                ],
                _ => parameters.iter().map(|given| given.to_vec()).collect(),
            };
            for parameters in &parameters {
                let mut calls = vec![(function, parameters.clone())];
                if let Some(resource) = own(name) {
                    let new = format!("[resource-new]{resource}");
                    calls.insert(0, (number(name.0, &new), vec![9]));
                }
                let orders = Orders {
                    calls,
                    ..calling(Vec::new())
                };
                let (outcome, detail) = Both::puppet().play(part, &orders);
                let is_none_of = |others: &[&str]| others.iter().all(|other| !name.0.contains(other));
                let of_hook = match part {
                    _ if name.0.starts_with("[export]") => true,
                    _ if name.0.contains("/attempt@") => {
                        matches!(part, Part::Of(Hook::AttemptFilter) | Part::Judge)
                    }
                    _ if name.1 == "skip" => match name.0.contains("request-body") {
                        true => part == Part::Of(Hook::RequestFilter),
                        false => matches!(part, Part::Of(Hook::RequestFilter | Hook::ResponseFilter)),
                    },
                    Part::Judge => is_none_of(&["upstreams", "outcome", "/streams", "/content"]),
                    Part::Of(Hook::AttemptFilter) => {
                        is_none_of(&["response", "upstreams", "outcome", "/streams"])
                    }
                    Part::Of(Hook::RequestBodyFilter) => {
                        is_none_of(&["response", "upstreams", "outcome", "/streams"])
                    }
                    Part::Of(Hook::ResponseBodyFilter) => is_none_of(&["upstreams", "outcome", "/streams"]),
                    Part::Of(Hook::RequestFilter) => {
                        is_none_of(&["response", "upstreams", "outcome", "/streams", "/content"])
                    }
                    Part::Of(Hook::RequestStreamFilter) => is_none_of(&["response", "upstreams", "outcome"]),
                    Part::Of(Hook::SelectUpstream) => {
                        is_none_of(&["response", "outcome", "/streams", "/content"])
                    }
                    Part::Of(Hook::ResponseFilter) => {
                        is_none_of(&["upstreams", "outcome", "/streams", "/content"])
                    }
                    Part::Of(Hook::ResponseStreamFilter) => is_none_of(&["upstreams", "outcome"]),
                    Part::Of(Hook::Finished) => is_none_of(&["upstreams", "/streams", "/content"]),
                };
                let failed = outcome == Outcome::Failed(FailureReason::Trap);
                assert_eq!(failed, !of_hook, "{name:?}{parameters:?} in {part:?}: {detail:?}");
            }
        }
    }
}

/// The puppet is granted the secret `x_new`.
fn of_secrets(name: &str, out: u64) -> Vec<Vec<u64>> {
    let given: &[&[u64]] = match name {
        "has" => &[&[8, 5], &[24, 7]],
        "hmac" => &[
            &[0, 8, 5, 0, 16, out],
            &[3, 8, 5, 0, 0, out],
            &[1, 24, 7, 0, 16, out],
        ],
        "verify-hmac" => &[&[1, 8, 5, 0, 16, 24, 7, out], &[1, 24, 7, 0, 16, 24, 7, out]],
        "matches" => &[&[8, 5, 24, 7, out], &[8, 5, 24, 6, out], &[24, 7, 24, 7, out]],
        _ => panic!("{name} is new"),
    };
    given.iter().map(|given| given.to_vec()).collect()
}

fn of_tables(name: &str, out: u64) -> Vec<Vec<u64>> {
    let given: &[&[u64]] = match name {
        "[static]table.open" => &[&[24, 7, out], &[16, 4, out]],
        "[method]table.get" | "[method]table.remove" => &[&[6, 24, 7, out]],
        "[method]table.set" | "[method]table.add" => &[
            &[6, 24, 7, 8, 5, 1000, out],
            &[6, 24, 7, 8, 5, 0, out],
            &[6, 24, 7, 0x2_0800, 0x1_0001, 1000, out],
        ],
        "[method]table.swap" => &[
            &[6, 24, 7, 0, 0, 0, 8, 5, 1000, out],
            &[6, 24, 7, 1, 8, 5, 8, 5, 1000, out],
            &[6, 24, 7, 0, 0, 0, 8, 5, 0, out],
        ],
        "[method]table.claim" => &[&[6, 24, 7, 1000, out], &[6, 24, 7, 0, out]],
        "[resource-drop]table" => &[&[6]],
        _ => panic!("{name} is new"),
    };
    given.iter().map(|given| given.to_vec()).collect()
}

/// Each answer that a table has, one behind the other.
#[test]
fn tables_answer_the_same_in_both_ways() {
    let table = |name: &str, given: &[u64]| {
        let function = number("tables", &format!("[method]table.{name}"));
        (function, [&[6, 24, 7], given].concat())
    };
    let calls = vec![
        table("claim", &[1000, 512]),
        table("claim", &[1000, 544]),
        table("add", &[8, 5, 1000, 576]),
        table("add", &[0, 1, 1000, 608]),
        table("claim", &[1000, 640]),
        table("swap", &[1, 0, 1, 0, 1, 1000, 672]),
        table("swap", &[1, 8, 5, 0, 1, 1000, 704]),
        table("get", &[736]),
        table("remove", &[]),
        table("get", &[768]),
        table("claim", &[1000, 800]),
    ];
    for hook in Hook::ALL {
        let orders = Orders {
            calls: calls.clone(),
            ..calling(Vec::new())
        };
        let (outcome, detail) = Both::puppet().play(hook, &orders);
        // `finished` returns nothing, and does not fail.
        let Some(memory) = outcome.memory() else {
            assert!(detail.is_none(), "{detail:?}");
            continue;
        };
        let cases = |at: usize| (memory[at], memory[at + 4]);
        let answers = [512, 544, 576, 608, 640, 672, 704].map(cases);
        assert_eq!(answers, [(0, 0), (0, 0), (0, 0), (0, 1), (0, 2), (0, 1), (0, 0)]);
        assert_eq!((memory[736], memory[768], memory[804]), (1, 0, 0));
    }
}

fn of_metrics(name: &str, out: u64) -> Vec<Vec<u64>> {
    const TWO: u64 = 0x4000 << 48;
    let given: &[&[u64]] = match name {
        "[static]counter.open" | "[static]gauge.open" => &[
            &[24, 7, 8, 5, 32, 1, out],
            &[24, 7, 8, 5, 0, 0, out],
            &[16, 4, 8, 5, 32, 1, out],
            &[24, 7, 64, 257, 32, 1, out],
            &[24, 7, 8, 5, 64, 9, out],
        ],
        "[static]histogram.open" => &[
            &[24, 7, 8, 5, 32, 1, 40, 2, out],
            &[24, 7, 8, 5, 32, 1, 40, 0, out],
            &[24, 7, 8, 5, 32, 1, 64, 33, out],
        ],
        "[method]counter.add" => &[&[3, 0, 0, 7]],
        "[method]gauge.set" | "[method]gauge.add" => &[&[4, 0, 0, TWO]],
        "[method]histogram.observe" => &[&[5, 0, 0, TWO]],
        "[resource-drop]counter" => &[&[3]],
        "[resource-drop]gauge" => &[&[4]],
        "[resource-drop]histogram" => &[&[5]],
        _ => panic!("{name} is new"),
    };
    given.iter().map(|given| given.to_vec()).collect()
}

#[test]
fn metrics_with_another_number_of_label_values_trap() {
    let counter = number("metrics", "[method]counter.add");
    let orders = Orders {
        calls: vec![(counter, vec![3, 32, 1, 7])],
        ..calling(Vec::new())
    };
    let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
    assert_eq!(outcome, Outcome::Failed(FailureReason::Trap));
    let detail = detail.expect("a failure has one");
    assert!(
        detail.contains("1 label values were given to a metric that has 0"),
        "{detail}"
    );
}

/// The content is the data of `puppet::EVENT`, and `{}` for the second unit.
#[test]
fn questions_about_json_have_the_same_answer() {
    const OUT: u64 = 512;
    for pointer in [
        "", "/", "/a", "/b", "/b/0", "/b/1", "/b/2", "/b/3", "/b/4", "/c", "/c/d", "/c/e", "/f", "a", "/~",
    ] {
        for name in ["json", "json-length", "json-keys", "json-span"] {
            let question = [0, pointer.len() as u64, OUT, 0, 0];
            let orders = Orders {
                memory: pointer.as_bytes().to_vec(),
                ..calling(vec![(number("content", name), question)])
            };
            let (outcome, detail) = Both::puppet().play(Hook::ResponseStreamFilter, &orders);
            let answered = matches!(outcome, Outcome::Filtered(_));
            assert!(answered, "{name} of {pointer:?}: {outcome:?}: {detail:?}");
        }
    }
}

#[test]
fn plugin_that_allocates_or_frees_for_the_host_cannot_call_it() {
    for function in 0..FUNCTIONS.len() {
        let method = vec![(number("request", "method"), [512, 0, 0, 0, 0])];
        let allocating = Orders {
            realloc: Realloc::Calls(function),
            ..calling(method)
        };
        let freeing = Orders {
            post_return: PostReturn::Calls(function),
            ..calling(Vec::new())
        };
        for orders in [allocating, freeing] {
            let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
            assert_eq!(outcome, Outcome::Failed(FailureReason::Trap));
            let detail = detail.expect("a failure has one");
            assert!(
                detail.contains("while the plugin allocates memory for the host or frees a result"),
                "{}: {detail}",
                FUNCTIONS[function].name
            );
        }
    }
}

#[test]
fn plugin_that_allocates_or_frees_for_the_host_has_the_same_limits() {
    for (misdeed, reason) in [
        (Misdeed::Traps, FailureReason::Trap),
        (Misdeed::LoopsForever, FailureReason::Deadline),
        (Misdeed::RecursForever, FailureReason::Trap),
        (Misdeed::GrowsTooLarge, FailureReason::Memory),
    ] {
        let method = vec![(number("request", "method"), [512, 0, 0, 0, 0])];
        let allocating = Orders {
            realloc: Realloc::Misbehaves(misdeed),
            ..calling(method)
        };
        let freeing = Orders {
            post_return: PostReturn::Misbehaves(misdeed),
            ..calling(Vec::new())
        };
        for orders in [allocating, freeing] {
            let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
            assert_eq!(outcome, Outcome::Failed(reason), "{misdeed:?}: {detail:?}");
        }
    }
}

/// Memory that grows may move, and with it everything that was found in it before.
#[test]
fn memory_that_grows_while_the_host_writes_a_list_has_the_list() {
    let headers = vec![(number("request", "headers"), [512, 0, 0, 0, 0])];
    let orders = Orders {
        realloc: Realloc::Grows(1024),
        ..calling(headers)
    };
    // Eleven allocations, of which four have room: the memory may not have 16 pages.
    let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
    assert_eq!(outcome, Outcome::Failed(FailureReason::Memory), "{detail:?}");

    let path = vec![
        (number("request", "path"), [512, 0, 0, 0, 0]),
        (number("request", "header-values"), [0, 1, 520, 0, 0]),
    ];
    let orders = Orders {
        realloc: Realloc::Grows(1024),
        ..calling(path)
    };
    let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
    let memory = outcome.memory().expect("there is room for four allocations");
    assert_eq!(&memory[1024..1026], b"/a", "{detail:?}");
}

/// The plugin would exceed its memory if it were asked to allocate, so a trap shows that it was not.
#[test]
fn answer_without_a_place_traps_before_allocation() {
    for out in [509, 510, ALL_MEMORY as u64 - 4, u64::from(u32::MAX) - 3] {
        for (name, parameters) in [
            ("method", [out, 0, 0, 0, 0]),
            ("query", [out, 0, 0, 0, 0]),
            ("header", [0, 1, out, 0, 0]),
            ("header-values", [0, 1, out, 0, 0]),
            ("headers", [out, 0, 0, 0, 0]),
            ("client-certificate", [out, 0, 0, 0, 0]),
            ("client-certificate-der", [out, 0, 0, 0, 0]),
        ] {
            let orders = Orders {
                realloc: Realloc::Misbehaves(Misdeed::GrowsTooLarge),
                ..calling(vec![(number("request", name), parameters)])
            };
            let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
            let trapped = outcome == Outcome::Failed(FailureReason::Trap);
            assert!(trapped, "{name} at {out}: {outcome:?}: {detail:?}");
        }
    }
}

/// Bytes that are handed over count each time, also if they are the same bytes in the plugin's memory. The puppet has hooks for
/// bodies, so that it may hand over one beside the usual four mebibytes.
#[test]
fn call_that_hands_over_more_than_four_mebibytes_its_headers_and_a_body_fails() {
    const HALF: u64 = 1 << 19;
    /// A place behind the puppet's own memory.
    const ZEROS: u64 = 0x2_0800;
    for (calls, fails) in [(4, false), (5, true)] {
        for interface in ["request", "response"] {
            for name in ["set-header", "append-header"] {
                let call = (number(interface, name), [ZEROS, HALF, ZEROS, HALF, 512]);
                let hook = match interface {
                    "request" => Hook::RequestFilter,
                    _ => Hook::ResponseFilter,
                };
                let (outcome, detail) = Both::puppet().play(hook, &calling(vec![call; calls]));
                let failed = outcome == Outcome::Failed(FailureReason::IllegalOutput);
                assert_eq!(failed, fails, "{calls} times {interface}.{name}: {detail:?}");
            }
        }
    }
}
