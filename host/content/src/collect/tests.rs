use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::decode::Coding;
use crate::decode::tests::encode;

const PLENTY: usize = 1 << 30;

fn gzip() -> Codings {
    Codings::parse([&b"gzip"[..]]).expect("it is known")
}

fn collector(codings: &Codings, limit: u32, budget: &Arc<Budget>) -> Collector {
    Collector::new(codings, limit, None, budget).expect("no length is announced")
}

#[test]
fn body_is_shown_decoded_and_sent_on_as_it_came() {
    let encoded = encode(Coding::Gzip, br#"{"a": 1}"#);
    let budget = Budget::new(PLENTY);
    let mut collector = collector(&gzip(), 1000, &budget);
    for byte in encoded.chunks(1) {
        collector.push(byte).expect("it is valid");
    }
    let content = collector.finish().expect("it is complete");
    assert_eq!(content.bytes(), br#"{"a": 1}"#);
    assert!(budget.taken() > 0);
    let outgoing = content.into_outgoing();
    assert_eq!(outgoing, encoded);
    assert!(budget.taken() > 0, "it is still held");
    drop(outgoing);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn limit_holds_as_sent_and_decoded() {
    let budget = Budget::new(PLENTY);
    let mut plain = collector(&Codings::default(), 10, &budget);
    assert_eq!(plain.push(&[0; 10]), Ok(()));
    assert_eq!(plain.push(&[1]), Err(CollectError::TooLarge));
    assert_eq!(plain.into_sent().len(), 11);

    let encoded = encode(Coding::Gzip, &[b'x'; 100]);
    let mut decoded = collector(&gzip(), 100, &budget);
    assert_eq!(decoded.push(&encoded), Ok(()));
    assert_eq!(decoded.finish().map(|content| content.size()), Ok(100));
    let mut decoded = collector(&gzip(), 99, &budget);
    assert_eq!(decoded.push(&encoded), Err(CollectError::TooLarge));
    assert_eq!(decoded.into_sent(), encoded);
}

#[test]
fn announced_length_beyond_the_limit_is_refused_at_once() {
    let budget = Budget::new(PLENTY);
    let new = |declared| Collector::new(&Codings::default(), 10, Some(declared), &budget);
    assert!(new(10).is_ok());
    assert_eq!(new(11).err(), Some(CollectError::TooLarge));
    assert_eq!(new(u64::MAX).err(), Some(CollectError::TooLarge));
}

#[test]
fn announced_length_takes_no_room_before_its_bytes_are_there() {
    let budget = Budget::new(PLENTY);
    let declared = Some(8 << 20);
    let mut collector = Collector::new(&Codings::default(), 8 << 20, declared, &budget).expect("it fits");
    assert_eq!(budget.taken(), 0);
    collector.push(b"x").expect("there is room");
    assert!(budget.taken() <= 64 * 1024, "{}", budget.taken());
    for _ in 0..7 {
        collector.push(&[0; 1 << 20]).expect("there is room");
    }
    collector.push(&[0; (1 << 20) - 1]).expect("there is room");
    assert_eq!(budget.taken(), 8 << 20);
}

#[test]
fn full_budget_refuses_and_loses_nothing() {
    let budget = Budget::new(64 * 1024);
    let mut collector = collector(&Codings::default(), 1 << 20, &budget);
    let piece = [b'x'; 40 * 1024];
    assert_eq!(collector.push(&piece), Ok(()));
    assert_eq!(collector.push(&piece), Err(CollectError::Budget));
    assert_eq!(collector.into_sent().len(), 80 * 1024);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn whole_body_keeps_its_memory_and_is_counted_by_it() {
    let budget = Budget::new(128 * 1024);
    let body = vec![b'x'; 40 * 1024];
    let memory = body.as_ptr();
    let mut collector = collector(&Codings::default(), 1 << 20, &budget);
    assert!(collector.takes_whole());
    assert!(collector.admits(128 * 1024));
    collector.put(body);
    assert!(!collector.takes_whole());
    let content = collector.finish().expect("it has no coding");
    assert_eq!(
        (content.bytes().as_ptr(), content.size(), budget.taken()),
        (memory, 40 * 1024, 128 * 1024)
    );
    let outgoing = content.into_outgoing();
    assert_eq!((outgoing.as_ptr(), budget.taken()), (memory, 128 * 1024));
    drop(outgoing);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn memory_beyond_the_budget_is_not_admitted() {
    let budget = Budget::new(64 * 1024);
    let mut collector = collector(&Codings::default(), 1 << 20, &budget);
    assert!(!collector.admits(128 * 1024));
    assert_eq!((collector.takes_whole(), budget.taken()), (true, 0));
    assert_eq!(collector.push(&[b'x'; 60 * 1024]), Ok(()));
}

#[test]
fn encoded_or_begun_body_is_not_taken_whole() {
    let budget = Budget::new(PLENTY);
    assert!(!collector(&gzip(), 10, &budget).takes_whole());
    let mut begun = collector(&Codings::default(), 10, &budget);
    assert_eq!(begun.push(b"x"), Ok(()));
    assert!(!begun.takes_whole());
}

#[test]
fn body_that_cannot_be_decoded_is_there_as_sent() {
    let budget = Budget::new(PLENTY);
    let mut wrong = collector(&gzip(), 100, &budget);
    let error = CollectError::Encoding(DecodeError::Malformed);
    assert_eq!(wrong.push(b"not gzip"), Err(error));
    assert_eq!(wrong.into_sent(), "not gzip");

    let encoded = encode(Coding::Gzip, b"text");
    let mut cut = collector(&gzip(), 100, &budget);
    assert_eq!(cut.push(&encoded[..encoded.len() - 1]), Ok(()));
    let (error, sent) = cut.finish().expect_err("it is not complete");
    assert_eq!(error, CollectError::Encoding(DecodeError::Truncated));
    assert_eq!(sent, encoded[..encoded.len() - 1]);
}

#[test]
fn empty_body_takes_nothing() {
    let budget = Budget::new(0);
    for codings in [Codings::default(), gzip()] {
        let content = collector(&codings, 10, &budget)
            .finish()
            .expect("nothing is missing");
        assert_eq!(content.size(), 0);
        assert_eq!(content.sent().map(Bytes::len), Some(0));
    }
}

proptest! {
    #[test]
    fn pieces_of_any_size_come_to_the_same_body(
        pieces in vec(vec(any::<u8>(), 0..3000), 0..20), is_declared in any::<bool>(),
    ) {
        let whole = pieces.concat();
        let budget = Budget::new(PLENTY);
        let declared = is_declared.then_some(whole.len() as u64);
        let mut collector =
            Collector::new(&Codings::default(), 1 << 20, declared, &budget).expect("it fits");
        for piece in &pieces {
            prop_assert_eq!(collector.push(piece), Ok(()));
            prop_assert!(budget.taken() >= collector.sent().len());
        }
        let content = collector.finish().expect("it has no coding");
        prop_assert_eq!(content.bytes(), &whole[..]);
        drop(content);
        prop_assert_eq!(budget.taken(), 0);
    }
}
