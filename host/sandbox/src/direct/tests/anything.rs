//! Modules against components with random orders: any calls, any memory and any results have the same outcome.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::puppet::{ALL_MEMORY, Both, FUNCTIONS, MEMORY, Misdeed, Orders, Part, PostReturn, Realloc};
use pace_hook::Hook;

/// Numbers that often mean something: handles, cases, lengths, places in the memory and around its end.
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

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![9 => select(&Hook::ALL[..]).prop_map(Part::Of), 1 => Just(Part::Judge)]
}

fn small() -> impl Strategy<Value = u32> {
    numbers().prop_map(|number| number as u32)
}

/// Memory that is mostly text, with some numbers that are places and lengths at once, and some random bytes.
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

fn calls() -> impl Strategy<Value = Vec<(usize, Vec<u64>)>> {
    let parameters = prop::collection::vec(numbers(), 10).prop_map(|mut parameters| {
        // The parameters that are lengths of texts. A text of more than 64 KiB is refused unread by the code that reads a
        // module's memory, and after it was read by the component model's runtime.
        for place in [1, 2, 3, 5] {
            if parameters[place] <= ALL_MEMORY as u64 {
                parameters[place] %= 1 << 16;
            }
        }
        parameters
    });
    prop::collection::vec((0..FUNCTIONS.len(), parameters), 0..4)
}

/// Memory with a plausible response: lists whose places, lengths and elements lie in the same memory.
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
    fn any_calls_have_the_same_outcome_in_both_ways(
        part in part(),
        memory in memory(),
        calls in calls(),
        realloc in realloc(),
    ) {
        let orders = Orders { memory, calls, realloc, result: None, post_return: PostReturn::Nothing };
        Both::puppet().play(part, &orders);
    }

    #[test]
    fn any_result_has_the_same_outcome_in_both_ways(
        part in part(),
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
        Both::puppet().play(part, &orders);
    }

    #[test]
    fn overlapping_lists_in_a_result_have_the_same_outcome_in_both_ways(
        part in part(),
        count in 1..2000_u32,
        length in 0..3000_u32,
        at in any::<Index>(),
    ) {
        // The list has `count` fields, whose names and values are all the same text.
        let at = at.index(1000) as u32;
        let mut memory = vec![1, 0, 0, 0, 200, 0, 0, 0];
        if matches!(part, Part::Of(Hook::SelectUpstream) | Part::Judge) {
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
        Both::puppet().play(part, &orders);
    }
}
