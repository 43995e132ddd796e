use super::*;

fn clients(keys: &[(&str, &str)]) -> Result<Clients, String> {
    let hash = |key: &str| Hash(Sha256::digest(key).into());
    Clients::new(
        keys.iter()
            .map(|(name, key)| ((*name).into(), hash(key)))
            .collect(),
    )
}

#[test]
fn a_key_has_one_owner() {
    let clients = clients(&[("ann", "key of ann"), ("bob", "key of bob")]).expect("they differ");
    assert_eq!(clients.owner(b"key of ann"), Some("ann"));
    assert_eq!(clients.owner(b"key of bob"), Some("bob"));
    for key in ["", "key of an", "key of ann ", "KEY OF ANN"] {
        assert_eq!(clients.owner(key.as_bytes()), None, "{key:?}");
    }
}

#[test]
fn keys_are_needed_and_differ() {
    assert!(clients(&[]).is_err_and(|error| error.starts_with("keys: at least one")));
    let twice = clients(&[("ann", "a"), ("bob", "a")]);
    assert_eq!(twice.err().as_deref(), Some("keys.bob: the same key as ann's"));
    assert!(clients(&[("a\n", "a")]).is_err_and(|error| error.contains("control characters")));
}

#[test]
fn a_hash_is_read_in_either_case() {
    // Of the empty text, FIPS 180-4.
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = Hash(Sha256::digest("").into());
    for text in [hash.to_owned(), hash.to_uppercase()] {
        assert_eq!(Hash::try_from(text), Ok(expected.clone()));
    }
    for wrong in [
        "",
        "e3",
        &hash[2..],
        &hash.replace('e', "g"),
        &format!("{hash}0"),
        &format!("{hash}00"),
    ] {
        assert!(Hash::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
}

#[test]
fn mistakes_are_named() {
    let refusal = |json| {
        pace_plugin::parse_config::<Config>(json)
            .err()
            .unwrap_or_default()
    };
    assert_eq!(refusal("{}"), "missing field `keys`");
    assert!(refusal(r#"{"keys": {"ann": "secret"}}"#).starts_with("keys.ann: expected the 64 hexadecimal"));
    assert!(
        refusal(r#"{"keys": {}, "limit": {"requests": 0, "seconds": 1}}"#).starts_with("limit.requests: ")
    );
    assert!(refusal(r#"{"keys": {}, "header": "a b"}"#).starts_with("header: `a b`: "));
}
