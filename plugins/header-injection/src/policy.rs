//! Edits of a message's headers, and their order.

use pace_plugin::{EditError, HeaderName, HeaderValue};

/// The edits of a message's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(HeaderName, HeaderValue)>,
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// The headers of a request or a response.
pub trait Headers {
    fn set(&mut self, name: &str, value: &str) -> Result<(), EditError>;
    fn add(&mut self, name: &str, value: &str) -> Result<(), EditError>;
    fn remove(&mut self, name: &str) -> Result<(), EditError>;
}

impl Edits {
    /// Removes, then sets, then adds, so that one table can replace all values of a header by several. The
    /// result of each edit goes to `report`; the following ones are done in any case.
    pub fn apply(&self, headers: &mut impl Headers, report: impl Fn(Result<(), EditError>)) {
        for name in &self.remove {
            report(headers.remove(name));
        }
        for (name, value) in &self.set {
            report(headers.set(name, value));
        }
        for (name, value) in &self.add {
            report(headers.add(name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The headers of a message, as a list that refuses to have more than `room`.
    #[derive(Debug)]
    struct Message {
        headers: Vec<(String, String)>,
        room: usize,
    }

    impl Message {
        fn new(headers: &[(&str, &str)]) -> Self {
            let headers = headers
                .iter()
                .map(|&(name, value)| (name.into(), value.into()))
                .collect();
            Self {
                headers,
                room: usize::MAX,
            }
        }

        fn values(&self, name: &str) -> Vec<&str> {
            self.headers
                .iter()
                .filter(|(present, _)| present == name)
                .map(|(_, value)| value.as_str())
                .collect()
        }
    }

    impl Headers for Message {
        fn set(&mut self, name: &str, value: &str) -> Result<(), EditError> {
            self.remove(name)?;
            self.add(name, value)
        }

        fn add(&mut self, name: &str, value: &str) -> Result<(), EditError> {
            if self.headers.len() == self.room {
                return Err(EditError::TooLarge);
            }
            self.headers.push((name.into(), value.into()));
            Ok(())
        }

        fn remove(&mut self, name: &str) -> Result<(), EditError> {
            self.headers.retain(|(present, _)| present != name);
            Ok(())
        }
    }

    fn name(name: &str) -> HeaderName {
        HeaderName::try_from(name.to_owned()).expect("a test names a header")
    }

    fn header(of: &str, value: &str) -> (HeaderName, HeaderValue) {
        (
            name(of),
            HeaderValue::try_from(value.to_owned()).expect("a test gives a value"),
        )
    }

    #[test]
    fn header_is_removed_then_set_then_added_to() {
        let edits = Edits {
            remove: vec![name("gone"), name("back")],
            set: vec![header("both", "set"), header("back", "set")],
            add: vec![
                header("both", "one"),
                header("both", "two"),
                header("new", "added"),
            ],
        };
        let mut message = Message::new(&[
            ("gone", "1"),
            ("gone", "2"),
            ("both", "1"),
            ("back", "1"),
            ("kept", "1"),
        ]);
        edits.apply(&mut message, |edit| assert_eq!(edit, Ok(())));
        assert!(message.values("gone").is_empty());
        assert_eq!(message.values("both"), ["set", "one", "two"]);
        assert_eq!(message.values("back"), ["set"]);
        assert_eq!(message.values("new"), ["added"]);
        assert_eq!(message.values("kept"), ["1"]);
    }

    #[test]
    fn refused_edit_does_not_stop_the_following_ones() {
        let edits = Edits {
            set: vec![header("large", "1")],
            remove: vec![],
            add: vec![header("also-large", "1")],
        };
        let mut message = Message {
            headers: vec![],
            room: 0,
        };
        let refused = std::cell::Cell::new(0);
        edits.apply(&mut message, |edit| {
            refused.set(refused.get() + u32::from(edit == Err(EditError::TooLarge)))
        });
        assert_eq!(refused.get(), 2);
    }

    proptest! {
        #[test]
        fn header_has_exactly_the_edited_values(
            before in vec("[a-d]", 0..6),
            remove in vec("[a-d]", 0..3),
            set in vec("[a-d]", 0..3),
            add in vec("[a-d]", 0..3),
        ) {
            let named = |names: &[String]| names.iter().map(|of| header(of, "new")).collect();
            let mut message = Message::new(&[]);
            message.headers = before.iter().map(|name| (name.clone(), "old".to_owned())).collect();
            Edits { remove: remove.iter().map(|gone| name(gone)).collect(), set: named(&set), add: named(&add) }.apply(&mut message, |_| ());
            for letter in ["a", "b", "c", "d"] {
                let times = |names: &[String]| names.iter().filter(|present| *present == letter).count();
                let old = if times(&remove) + times(&set) > 0 { 0 } else { times(&before) };
                let new = times(&set).min(1) + times(&add);
                let values = message.values(letter);
                prop_assert_eq!(values.iter().filter(|value| **value == "old").count(), old);
                prop_assert_eq!(values.iter().filter(|value| **value == "new").count(), new);
            }
        }
    }
}
