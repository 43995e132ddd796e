use super::*;

fn groups(json: &str) -> Result<Groups, String> {
    pace_plugin::parse_config(json).and_then(Groups::new)
}

#[test]
fn the_shares_are_kept_however_early_one_counts() {
    let groups = groups(r#"{"a": 90, "b": 10, "c": 0}"#).expect("they are right");
    for visitors in [10u64, 100, 1_000, 10_000] {
        let of = |name| {
            (1..=visitors)
                .filter(|number| groups.of_visitor(*number) == name)
                .count() as u64
        };
        assert!(of("b").abs_diff(visitors / 10) <= 2, "{} of {visitors}", of("b"));
        assert_eq!((of("a") + of("b"), of("c")), (visitors, 0));
    }
}

#[test]
fn any_number_has_a_group() {
    let groups = groups(r#"{"a": 1, "b": 65535}"#).expect("they are right");
    for number in [0, 1, u64::MAX, u64::MAX / 2] {
        assert!(["a", "b"].contains(&groups.of_visitor(number)), "{number}");
    }
}

#[test]
fn a_cookie_is_believed_if_it_names_a_group_in_use() {
    let groups = groups(r#"{"a": 1, "old": 0}"#).expect("they are right");
    assert_eq!(groups.remembered(Some(b"a")), Some("a"));
    for unknown in [None, Some(&b"A"[..]), Some(b"old"), Some(b""), Some(b"a\xff")] {
        assert_eq!(groups.remembered(unknown), None, "{unknown:?}");
    }
}

#[test]
fn mistakes_are_named() {
    let refusal = |json| groups(json).err().unwrap_or_default();
    assert!(
        refusal("{}").starts_with("groups: at least one") && refusal(r#"{"a": 0}"#).starts_with("groups: ")
    );
    assert!(refusal(r#"{"a b": 1}"#).starts_with("groups.\"a b\": a name"));
    let config = |json| {
        pace_plugin::parse_config::<Config>(json)
            .err()
            .unwrap_or_default()
    };
    assert!(config(r#"{"groups": {"a": 70000}}"#).starts_with("groups.a: invalid value"));
}
