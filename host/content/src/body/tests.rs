use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::budget::Budget;

fn body(bytes: &'static [u8]) -> Content {
    Content::body(Bytes::from_static(bytes))
}

#[test]
fn read_gives_what_is_inside_and_nothing_behind() {
    let content = body(b"0123456789");
    assert_eq!(content.size(), 10);
    assert_eq!(content.read(2, 3), b"234");
    assert_eq!(content.read(8, 5), b"89");
    assert_eq!(content.read(8, u32::MAX), b"89");
    assert_eq!(content.read(10, 1), b"");
    assert_eq!(content.read(u32::MAX, u32::MAX), b"");
    assert_eq!(content.find(b"5", 0), Some(5));
    assert_eq!(content.find(b"5", 6), None);
    assert_eq!(content.find(b"", u32::MAX), None);
}

#[test]
fn content_without_a_change_is_sent_on_as_it_came() {
    let sent = Bytes::from_static(b"encoded");
    let content = Content::decoded(sent.clone(), b"plain".to_vec());
    assert_eq!(content.bytes(), b"plain");
    assert!(!content.is_changed());
    let outgoing = content.into_outgoing();
    assert_eq!(outgoing.as_ptr(), sent.as_ptr());
}

#[test]
fn lent_memory_comes_back_as_it_was_and_edits_are_apart() {
    let budget = Budget::new(256 * 1024);
    let memory: Box<[u8]> = b"head body next".as_slice().into();
    let address = memory.as_ptr();
    let lent = |memory| Content::lent(memory, 5..9).with_permit(budget.permit());
    let mut content = lent(memory);
    assert_eq!((content.bytes(), content.size()), (&b"body"[..], 4));
    assert_eq!(
        content.digest(Hash::Sha1, Form::Sent),
        Ok(Hash::Sha1.digest(b"body"))
    );
    assert!(content.fits(4) && !content.fits(3));
    let memory = content.give_back().expect("it was lent");
    assert_eq!((memory.as_ptr(), &memory[..]), (address, &b"head body next"[..]));
    assert!(content.give_back().is_none());
    let mut content = lent(memory);
    content.keep(true);
    content.splice(0, 1, b"g").expect("it may");
    assert_eq!((content.bytes(), content.is_changed()), (&b"gody"[..], true));
    content.undo();
    assert_eq!((content.bytes(), content.is_changed()), (&b"body"[..], false));
    content.splice(4, 0, b"!").expect("it may");
    let memory = content.give_back().expect("it was lent");
    assert_eq!(&memory[..], b"head body next");
    assert_eq!(content.into_outgoing(), "body!");
    // Who has a share of it has a copy, which is counted.
    let mut content = lent(memory);
    let shared = content.share();
    assert!(budget.taken() > 0);
    content.give_back();
    assert_eq!((shared, content.into_outgoing()), ("body".into(), "body".into()));
    assert_eq!(budget.taken(), 0);
}

#[test]
fn changed_content_is_sent_as_it_is_shown_and_keeps_what_was_sent() {
    let mut content = Content::decoded(Bytes::from_static(b"encoded"), b"plain".to_vec());
    content.splice(0, 1, b"PP").expect("it may");
    assert!(content.is_changed());
    assert_eq!(content.sent().map(|sent| &sent[..]), Some(&b"encoded"[..]));
    assert_eq!(
        content.digest(Hash::Sha256, Form::Sent),
        Ok(Hash::Sha256.digest(b"encoded"))
    );
    assert_eq!(
        content.digest(Hash::Sha256, Form::Shown),
        Ok(Hash::Sha256.digest(b"PPlain"))
    );
    assert_eq!(content.into_outgoing(), "PPlain");
}

#[test]
fn signature_is_over_the_form_that_was_asked_for() {
    let mut content = body(b"body");
    let code = content
        .hmac(Hash::Sha256, b"key", b"12.", Form::Sent)
        .expect("it is kept");
    assert_eq!(code, Hash::Sha256.hmac(b"key", &[b"12.body"]));
    content.replace(b"other".to_vec()).expect("it may");
    let verify = |of| content.verify_hmac(Hash::Sha256, b"key", b"12.", of, code.as_ref());
    assert_eq!((verify(Form::Sent), verify(Form::Shown)), (Ok(true), Ok(false)));
    let unit = Content::unit(Bytes::from_static(b"body"));
    assert_eq!(unit.digest(Hash::Sha1, Form::Sent), Err(NotKept));
    assert_eq!(
        unit.digest(Hash::Sha1, Form::Shown),
        Ok(Hash::Sha1.digest(b"body"))
    );
}

#[test]
fn edit_that_is_refused_leaves_the_content_as_it_was() {
    let mut content = body(b"0123456789");
    let refused = [
        (Access::Look, 100, EditError::ReadOnly),
        (Access::Nothing, 100, EditError::NotAvailable),
        (Access::Edit, 10, EditError::TooLarge),
    ];
    for (access, limit, expected) in refused {
        content.allow(access, limit);
        assert_eq!(content.replace(vec![0; 11]), Err(expected));
        assert_eq!(content.splice(3, 0, b"x"), Err(expected));
    }
    content.allow(Access::Edit, 100);
    assert_eq!(content.splice(11, 0, b"x"), Err(EditError::InvalidValue));
    assert_eq!(content.splice(8, 3, b"x"), Err(EditError::InvalidValue));
    assert_eq!(
        content.splice(u32::MAX, u32::MAX, b"x"),
        Err(EditError::InvalidValue)
    );
    assert!(!content.is_changed());
    assert_eq!(content.bytes(), b"0123456789");
    // At its limit, what is replaced makes room.
    content.allow(Access::Edit, 10);
    assert_eq!(content.splice(9, 1, b"x"), Ok(()));
}

#[test]
fn limit_holds_for_both_forms() {
    let content = Content::decoded(Bytes::from_static(b"encoded"), b"plain".to_vec());
    assert!(content.fits(7) && !content.fits(6));
    let content = Content::decoded(Bytes::from_static(b"enc"), b"plain".to_vec());
    assert!(content.fits(5) && !content.fits(4));
}

#[test]
fn json_is_parsed_again_after_a_change() {
    let mut content = body(br#"{"model": "a", "n": 1}"#);
    assert_eq!(content.json("/model"), Ok(Value::Text("a".into())));
    let span = content
        .json_span("/model")
        .expect("it is JSON")
        .expect("it is there");
    content
        .splice(span.start, span.end - span.start, b"[2]")
        .expect("it may");
    assert_eq!(content.bytes(), br#"{"model": [2], "n": 1}"#);
    assert_eq!(content.json("/model/0"), Ok(Value::Integer(2)));
    assert_eq!(content.json_length(""), Ok(Some(2)));
    assert_eq!(content.json_keys(""), Ok(Some(vec!["model".into(), "n".into()])));
    content.replace(b"none".to_vec()).expect("it may");
    assert_eq!(content.json("/model"), Err(JsonError::Malformed));
    assert_eq!(content.json("model"), Err(JsonError::InvalidPointer));
}

#[test]
fn memory_of_edits_is_counted_until_the_last_user_is_gone() {
    let budget = Budget::new(256 * 1024);
    let mut content = body(b"small").with_permit(budget.permit());
    assert_eq!(content.replace(vec![b'x'; 300 * 1024]), Err(EditError::TooLarge));
    assert_eq!(budget.taken(), 0);
    content.replace(vec![b'x'; 100 * 1024]).expect("there is room");
    assert_eq!(budget.taken(), 128 * 1024);
    let shared = content.share();
    content.splice(0, 1, b"y").expect("there is room for a copy");
    assert_eq!(budget.taken(), 256 * 1024);
    assert_eq!(shared[0], b'x');
    drop(content);
    assert_eq!(budget.taken(), 128 * 1024);
    drop(shared);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn parsed_json_is_counted() {
    let budget = Budget::new(1024 * 1024);
    let mut content = body(b"[1,2,3]").with_permit(budget.permit());
    assert_eq!(content.json_length(""), Ok(Some(3)));
    assert!(budget.taken() > 0);
}

proptest! {
    /// A vector with the same edits is the model.
    #[test]
    fn edits_do_what_they_do_to_a_vector(
        start in vec(any::<u8>(), 0..50),
        edits in vec((0_u32..60, 0_u32..20, vec(any::<u8>(), 0..30)), 0..10),
        limit in 40_u32..80,
        is_lent: bool,
    ) {
        let mut model = start.clone();
        let mut content = match is_lent {
            true => Content::lent([&b"before"[..], &start, b"after"].concat().into(), 6..6 + start.len()),
            false => Content::body(Bytes::from(start.clone())),
        };
        content.allow(Access::Edit, limit);
        for (offset, length, bytes) in edits {
            let place = offset as usize..offset as usize + length as usize;
            let expected = if place.end > model.len() {
                Err(EditError::InvalidValue)
            } else if model.len() - place.len() + bytes.len() > limit as usize {
                Err(EditError::TooLarge)
            } else {
                model.splice(place, bytes.iter().copied());
                Ok(())
            };
            prop_assert_eq!(content.splice(offset, length, &bytes), expected);
            prop_assert_eq!(content.bytes(), &model[..]);
        }
        prop_assert_eq!(content.digest(Hash::Sha1, Form::Sent), Ok(Hash::Sha1.digest(&start)));
    }
}
