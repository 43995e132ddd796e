//! The canonical ABI that is written out here against that of wasmtime: the same orders, the same outcome.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::puppet::{ALL_MEMORY, Both, FUNCTIONS, MEMORY, Misdeed, Orders, Outcome, PostReturn, Realloc};
use crate::hook::{FailureReason, Hook};

const HOOKS: [Hook; 3] = [Hook::RequestFilter, Hook::SelectUpstream, Hook::ResponseFilter];

/// Nothing but these calls, and allocation from 1024 on.
fn calling(calls: Vec<(usize, [u64; 5])>) -> Orders {
    Orders {
        memory: b"a\0\0\0\0\0\0\0x-new\0\0\0/c?d\0\0\0\0counter".to_vec(),
        calls,
        realloc: Realloc::From(1024),
        result: None,
        post_return: PostReturn::Nothing,
    }
}

fn number(interface: &str, name: &str) -> usize {
    let found = FUNCTIONS
        .iter()
        .position(|function| function.interface.contains(interface) && function.name == name);
    found.expect("the contract has it")
}

/// Every function, in every hook, with legal parameters: its answer is in the memory, bit by bit.
#[test]
fn every_function_gives_the_same_answer() {
    const OUT: u64 = 512;
    for hook in HOOKS {
        for (function, of) in FUNCTIONS.iter().enumerate() {
            // A name at 0 with one byte, or with five at 8; a target at 16, a name at 24; the answer at 512.
            let parameters: &[[u64; 5]] = match of.name.as_str() {
                "header" | "header-values" => &[[0, 1, OUT, 0, 0], [8, 5, OUT, 0, 0]],
                "remove-header" => &[[0, 1, OUT, 0, 0], [8, 5, OUT, 0, 0], [16, 4, OUT, 0, 0]],
                "set-header" | "append-header" => {
                    &[[8, 5, 0, 1, OUT], [0, 1, 24, 0, OUT], [16, 4, 0, 1, OUT]]
                }
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
                _ => &[[OUT, 0, 0, 0, 0]],
            };
            for parameters in parameters {
                let calls = vec![(function, *parameters)];
                let (outcome, detail) = Both::puppet().play(hook, &calling(calls));
                let name = (of.interface.as_str(), of.name.as_str());
                let of_hook = match hook {
                    Hook::RequestFilter => !name.0.contains("response") && !name.0.contains("upstreams"),
                    Hook::SelectUpstream => !name.0.contains("response"),
                    Hook::ResponseFilter => !name.0.contains("upstreams"),
                };
                let failed = outcome == Outcome::Failed(FailureReason::Trap);
                assert_eq!(failed, !of_hook, "{name:?}{parameters:?} in {hook:?}: {detail:?}");
            }
        }
    }
}

/// While it allocates for the host or frees a result, it can call nothing of the host.
#[test]
fn nobody_calls_while_serving_the_host() {
    for function in 0..FUNCTIONS.len() {
        let method = vec![(number("request@", "method"), [512, 0, 0, 0, 0])];
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

/// Nor can it do there what it could do nowhere else.
#[test]
fn serving_the_host_is_under_the_same_limits() {
    for (misdeed, reason) in [
        (Misdeed::Traps, FailureReason::Trap),
        (Misdeed::LoopsForever, FailureReason::Deadline),
        (Misdeed::RecursForever, FailureReason::Trap),
        (Misdeed::GrowsTooLarge, FailureReason::Memory),
    ] {
        let method = vec![(number("request@", "method"), [512, 0, 0, 0, 0])];
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

/// Memory that grows may move, and what was found in it before is elsewhere.
#[test]
fn memory_may_grow_while_the_host_writes_a_list() {
    let headers = vec![(number("request@", "headers"), [512, 0, 0, 0, 0])];
    let orders = Orders {
        realloc: Realloc::Grows(1024),
        ..calling(headers)
    };
    // Eleven allocations, of which four have room: the memory may not have 16 pages.
    let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
    assert_eq!(outcome, Outcome::Failed(FailureReason::Memory), "{detail:?}");

    let path = vec![
        (number("request@", "path"), [512, 0, 0, 0, 0]),
        (number("request@", "header-values"), [0, 1, 520, 0, 0]),
    ];
    let orders = Orders {
        realloc: Realloc::Grows(1024),
        ..calling(path)
    };
    let (outcome, detail) = Both::puppet().play(Hook::RequestFilter, &orders);
    let memory = outcome.memory().expect("there is room for four allocations");
    assert_eq!(&memory[1024..1026], b"/a", "{detail:?}");
}

/// Parameters that overlap stand for more than there is memory.
#[test]
fn a_call_cannot_be_given_more_than_the_memory_limit() {
    const MIB: u64 = 1 << 20;
    /// Behind what the puppet has for itself.
    const ZEROS: u64 = 0x2_0800;
    let half = MIB / 2;
    for (lengths, fails) in [([half, half], false), ([half, half + 1], true)] {
        for interface in ["request@", "response@"] {
            for name in ["set-header", "append-header"] {
                let call = (
                    number(interface, name),
                    [ZEROS, lengths[0], ZEROS, lengths[1], 512],
                );
                let hook = match interface {
                    "request@" => Hook::RequestFilter,
                    _ => Hook::ResponseFilter,
                };
                let (outcome, detail) = Both::puppet().play(hook, &calling(vec![call]));
                let failed = outcome == Outcome::Failed(FailureReason::Trap);
                assert_eq!(failed, fails, "{interface}{name} of {lengths:?}: {detail:?}");
            }
        }
    }
}

/// Numbers that are something at times: handles, cases, lengths, places in the memory and around its end.
fn numbers() -> impl Strategy<Value = u64> {
    let memory = MEMORY as u64;
    prop_oneof![
        4 => 0..8_u64,
        4 => 0..600_u64,
        2 => (0..(1_u64 << 12)).prop_map(|place| place * 16),
        2 => memory - 32..memory + 32,
        1 => memory..ALL_MEMORY as u64,
        1 => ALL_MEMORY as u64 - 32..ALL_MEMORY as u64 + 8,
        1 => u64::from(u32::MAX) - 16..=u64::from(u32::MAX),
        1 => any::<u64>(),
    ]
}

fn small() -> impl Strategy<Value = u32> {
    numbers().prop_map(|number| number as u32)
}

/// Mostly text, some numbers that are places and lengths at once, and what is neither.
fn memory() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => small().prop_map(u32::to_le_bytes),
        2 => select(vec![*b"abcd", *b"a: b", *b"/x?y", *b"x-ab"]),
        1 => any::<[u8; 4]>(),
    ];
    prop::collection::vec(word, 0..256).prop_map(|words| words.concat())
}

fn realloc() -> impl Strategy<Value = Realloc> {
    prop_oneof![
        8 => (0..4096_u32).prop_map(Realloc::From),
        2 => small().prop_map(Realloc::From),
        4 => small().prop_map(Realloc::Fixed),
        2 => (0..4096_u32).prop_map(Realloc::Grows),
        1 => Just(Realloc::Misbehaves(Misdeed::Traps)),
    ]
}

fn calls() -> impl Strategy<Value = Vec<(usize, [u64; 5])>> {
    let parameters = prop::array::uniform5(numbers());
    prop::collection::vec((0..FUNCTIONS.len(), parameters), 0..4)
}

/// A response that could be one, at a place: lists whose places, lengths and elements lie in the same memory.
fn result() -> impl Strategy<Value = Vec<u8>> {
    let list = (
        prop_oneof![4 => (0..64_u32).prop_map(|place| place * 4), 1 => small()],
        prop_oneof![4 => 0..8_u32, 1 => small()],
    );
    let record = (
        0..4_u8,
        prop_oneof![Just(200_u16), any::<u16>()],
        list.clone(),
        list.clone(),
    );
    let record = record.prop_map(|(case, status, headers, body)| {
        let [low, high] = status.to_le_bytes();
        let words = [headers.0, headers.1, body.0, body.1].map(u32::to_le_bytes);
        [&[case, 0, 0, 0, low, high, 0, 0], words.concat().as_slice()].concat()
    });
    let fields = prop::collection::vec(list, 0..32);
    let fields = fields.prop_map(|fields| {
        let words = fields
            .iter()
            .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()]);
        words.collect::<Vec<_>>().concat()
    });
    (record, fields, memory()).prop_map(|(record, fields, rest)| [record, fields, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_it_calls_the_outcome_is_the_same(
        hook in select(&HOOKS[..]),
        memory in memory(),
        calls in calls(),
        realloc in realloc(),
    ) {
        let orders = Orders { memory, calls, realloc, result: None, post_return: PostReturn::Nothing };
        Both::puppet().play(hook, &orders);
    }

    #[test]
    fn whatever_it_returns_the_outcome_is_the_same(
        hook in select(&HOOKS[..]),
        memory in result(),
        result in prop_oneof![4 => Just(0), 2 => small()],
        trap in prop::bool::weighted(0.05),
    ) {
        let post_return = if trap { PostReturn::Misbehaves(Misdeed::Traps) } else { PostReturn::Nothing };
        let orders = Orders {
            memory,
            calls: Vec::new(),
            realloc: Realloc::Misbehaves(Misdeed::Traps),
            result: Some(result),
            post_return,
        };
        Both::puppet().play(hook, &orders);
    }

    /// Nor does anything else happen than that they are read.
    #[test]
    fn a_result_that_overlaps_is_not_copied_without_end(
        hook in select(&HOOKS[..]),
        count in 1..2000_u32,
        length in 0..3000_u32,
        at in any::<Index>(),
    ) {
        // Every field is the same text: `count` elements whose names and values overlap.
        let at = at.index(1000) as u32;
        let mut memory = vec![1, 0, 0, 0, 200, 0, 0, 0];
        if hook == Hook::SelectUpstream {
            memory[0] = 2;
        }
        for word in [32, count, 0, 0, 0, 0] {
            memory.extend(u32::to_le_bytes(word));
        }
        for _ in 0..count {
            for word in [at, length, at, length] {
                memory.extend(u32::to_le_bytes(word));
            }
        }
        let orders = Orders {
            memory,
            calls: Vec::new(),
            realloc: Realloc::Misbehaves(Misdeed::Traps),
            result: Some(0),
            post_return: PostReturn::Nothing,
        };
        Both::puppet().play(hook, &orders);
    }
}
