use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn lines() -> Cutter {
    cutter(Framing::Line, Access::Edit)
}

#[test]
fn line_is_shown_without_its_end_and_sent_with_it() {
    let message = "a\n\r\nb\r\n\rc\nlast";
    let passed = pass_both(lines, message, |_| true);
    assert_eq!(passed.contents(), ["a", "", "b", "\rc", "last"]);
    assert_eq!(passed.text(), message);
    assert_eq!(pass_both(lines, "a\n", |_| true).contents(), ["a"]);
    assert_eq!(pass_both(lines, "a\r", |_| true).contents(), ["a\r"]);
    assert_eq!(pass_both(lines, "", |_| true).contents(), [""; 0]);
}

#[test]
fn line_is_dropped_with_its_end_and_changed_without_it() {
    let passed = pass_both(lines, "a\r\nb\nc\r\nd", |unit| {
        let content = unit.lend().0.bytes().to_vec();
        if content == b"c" || content == b"d" {
            replace(unit, "new");
        }
        content != b"b"
    });
    assert_eq!(passed.text(), "a\r\nnew\r\nnew");
}

#[test]
fn lines_without_interest_pass_together() {
    let new = || Cutter::new(Framing::Line, Access::Edit, interest(&["usage", "total"]), 1024);
    let mut cutter = new();
    cutter.push(b"a\nb\nthe usage\nc\ntotal\nusa");
    let pieces: Vec<_> = std::iter::from_fn(|| cutter.next_piece().expect("none is too large"))
        .map(|piece| match piece {
            Piece::Pass(bytes) => format!("passes {bytes:?}"),
            Piece::Unit(unit) => format!("unit {:?}", unit.raw()),
        })
        .collect();
    let expected = [
        "passes b\"a\\nb\\n\"",
        "unit b\"the usage\\n\"",
        "passes b\"c\\n\"",
        "unit b\"total\\n\"",
    ];
    assert_eq!(pieces, expected);
}

#[test]
fn line_beyond_the_limit_is_too_large_however_it_comes() {
    for end in ["", "\n", "\r\n"] {
        let longest = "x".repeat(1024) + end;
        assert_eq!(pass_both(lines, &longest, |_| true).seen.len(), 1);
        let longer = "x".repeat(1025) + end;
        assert_eq!(pass(lines(), [longer.as_bytes()], |_| true), Err(UnitTooLarge));
        assert_eq!(
            pass(lines(), longer.as_bytes().chunks(1), |_| true),
            Err(UnitTooLarge)
        );
    }
}

#[test]
fn line_that_is_added_stands_alone() {
    let last = |message: &str, is_sent: bool, added: &'static [u8]| {
        let mut cutter = lines();
        let mut passed = Passed::default();
        cutter.push(message.as_bytes());
        cutter.finish();
        take(&mut cutter, &mut passed, &mut |_| is_sent).expect("none is too large");
        passed
            .sent
            .extend(cutter.last(Content::unit(Bytes::from_static(added))));
        passed.text()
    };
    assert_eq!(last("a\n", true, b"b"), "a\nb\n");
    assert_eq!(last("a", true, b"b"), "a\nb\n");
    assert_eq!(last("a", false, b"b"), "b\n");
    assert_eq!(last("a", true, b""), "a");
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_they_come(
        message in "[ab\r\n]{0,60}", sizes in vec(1_usize..9, 1..6), strings in vec("[ab\r]{1,3}", 0..3),
    ) {
        let strings: Vec<_> = strings.iter().map(String::as_str).collect();
        for access in [Access::Look, Access::Edit] {
            let new = || Cutter::new(Framing::Line, access, interest(&strings), 1024);
            let passed = pass(new(), pieces(message.as_bytes(), &sizes), |_| true).expect("none is too large");
            let expected = message.split_inclusive('\n').map(|line| {
                let whole = line.strip_suffix('\n');
                whole.map_or(line, |whole| whole.strip_suffix('\r').unwrap_or(whole))
            });
            let is_of_interest = |line: &&str| strings.is_empty() || strings.iter().any(|string| line.contains(string));
            let expected: Vec<_> = expected.filter(is_of_interest).collect();
            prop_assert_eq!(passed.contents(), expected);
            prop_assert_eq!(passed.text(), &message[..]);
        }
    }
}
