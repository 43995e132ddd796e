//! No text makes the parser panic, and every message says where the problem is.

use proptest::prelude::*;

use super::{FULL, SHORT, parse};

/// A valid file with some characters removed and others inserted.
fn damaged(valid: &'static str) -> impl Strategy<Value = String> {
    let edit = (0..valid.len(), 0usize..12, "[a-z\\[\\]{}=\"'.,#0-9\n -]{0,6}");
    prop::collection::vec(edit, 1..4).prop_map(move |edits| {
        let mut text = valid.to_owned();
        for (at, length, insert) in edits {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &insert);
        }
        text
    })
}

/// A valid file with its lines in another order, some lost and some twice.
fn shuffled(valid: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<_> = valid.lines().collect();
    prop::collection::vec(0..lines.len(), 1..2 * lines.len()).prop_map(move |order| {
        order
            .into_iter()
            .map(|line| format!("{}\n", lines[line]))
            .collect()
    })
}

fn says_where(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = parse(text) {
        prop_assert!(error.to_string().starts_with("conf/proxy.toml:"), "{error}");
        prop_assert!(!error.headline().contains('\n'), "{error}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_valid_or_refused_with_its_place(text in "(.|\n)*") {
        says_where(&text)?;
    }

    #[test]
    fn damaged_file_is_valid_or_refused_with_its_place(text in prop_oneof![damaged(SHORT), damaged(FULL)]) {
        says_where(&text)?;
    }

    #[test]
    fn shuffled_file_is_valid_or_refused_with_its_place(text in prop_oneof![shuffled(SHORT), shuffled(FULL)]) {
        says_where(&text)?;
    }
}
