use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn chunk_is_what_has_come_at_once() {
    let passed = pass(
        cutter(Framing::Chunk, Access::Edit),
        [&b"one"[..], b"", b"two"],
        |_| true,
    );
    assert_eq!(passed.expect("it fits").contents(), ["one", "two"]);
}

#[test]
fn chunk_has_at_most_64_kib() {
    let bytes = vec![b'x'; 150 * 1024];
    let new = |limit| Cutter::new(Framing::Chunk, Access::Edit, Interest::default(), limit);
    let sizes = |limit| {
        let passed = pass(new(limit), [&bytes[..]], |_| true).expect("it fits");
        assert_eq!(passed.sent, bytes);
        passed
            .seen
            .iter()
            .map(|(content, _, _)| content.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(1 << 20), [65536, 65536, 150 * 1024 - 2 * 65536]);
    assert_eq!(sizes(100 * 1024).len(), 3);
    assert_eq!(sizes(50 * 1024).len(), 3);
}

#[test]
fn string_of_interest_is_in_one_chunk_however_it_comes() {
    let message = "text </bo text </body> text";
    let new = || Cutter::new(Framing::Chunk, Access::Edit, interest(&["</body>"]), 1024);
    for size in 1..message.len() {
        let passed = pass(new(), message.as_bytes().chunks(size), |unit| {
            let at = unit.lend().0.find(b"</body>", 0).expect("others pass");
            unit.lend().0.splice(at, 0, b"<p>").expect("it may");
            true
        });
        let passed = passed.expect("it fits");
        assert_eq!(passed.text(), "text </bo text <p></body> text");
        assert_eq!(passed.seen.len(), 1);
    }
}

#[test]
fn occurrences_without_end_do_not_hold_a_message_back() {
    let bytes = vec![b'a'; 200 * 1024];
    let new = || Cutter::new(Framing::Chunk, Access::Look, interest(&["aa"]), 1 << 20);
    let mut cutter = new();
    let mut passed = Passed::default();
    for piece in bytes.chunks(1000) {
        cutter.push(piece);
        take(&mut cutter, &mut passed, &mut |_| true).expect("it fits");
        assert!(cutter.buffered() <= 1);
    }
}

proptest! {
    #[test]
    fn occurrence_is_always_in_one_chunk(
        message in "[abc]{0,16}", sizes in vec(1_usize..7, 1..6), strings in vec("[abc]{1,4}", 1..4),
    ) {
        let strings: Vec<_> = strings.iter().map(String::as_str).collect();
        let cutter = Cutter::new(Framing::Chunk, Access::Edit, interest(&strings), 1024);
        let mut units = Vec::new();
        let passed = pass(cutter, pieces(message.as_bytes(), &sizes), |unit| {
            units.push(unit.raw().to_vec());
            true
        });
        prop_assert_eq!(passed.expect("it fits").text(), &message[..]);
        for string in strings {
            let overlapping = |bytes: &[u8]| bytes.windows(string.len()).filter(|part| part == &string.as_bytes()).count();
            let found: usize = units.iter().map(|unit| overlapping(unit)).sum();
            prop_assert_eq!(found, overlapping(message.as_bytes()), "{} in {:?}", string, units);
        }
    }
}
