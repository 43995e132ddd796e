use super::*;

fn users(users: &[(&str, &str)]) -> Result<Users, String> {
    let owned = users.iter().map(|(name, hash)| ((*name).into(), (*hash).into()));
    Users::new(&owned.collect())
}

/// `printf %s ann:secret | sha256sum`
const ANN: &str = "7c4c9d7a8fd8b5e0f6d2c9a6a2a2c38b";

#[test]
fn the_password_of_one_is_not_that_of_another() {
    let hash = |line: &str| base16ct::lower::encode_string(&Sha256::digest(line));
    let users =
        users(&[("ann", &hash("ann:se:cret")), ("bob", &hash("bob:hidden"))]).expect("they are right");
    assert_eq!(
        users.check(b"ann:se:cret"),
        Some(&b"ann"[..]),
        "a password may have colons"
    );
    assert_eq!(users.check(b"bob:hidden"), Some(&b"bob"[..]));
    for wrong in [
        "",
        "ann",
        "ann:",
        "ann:hidden",
        "bob:se:cret",
        "ann:se:cret ",
        "Ann:se:cret",
    ] {
        assert_eq!(users.check(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn users_are_checked() {
    assert!(users(&[]).is_err_and(|error| error.starts_with("users: at least one")));
    assert!(users(&[("ann", ANN)]).is_err_and(|error| error.starts_with("users.ann: expected 64 hex")));
    let colon = users(&[("a:b", &"0".repeat(64))]);
    assert!(colon.is_err_and(|error| error.starts_with("users.\"a:b\": a name has neither")));
}

#[test]
fn credentials_are_read_as_rfc_7617_writes_them() {
    let aladdin = Some(b"Aladdin:open sesame".to_vec());
    assert_eq!(credentials(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
    assert_eq!(credentials(b"bASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
    for wrong in [
        "",
        "Basic",
        "Bearer QWxhZGRpbg==",
        "Basic QWxhZGRpbg=",
        "Basic !",
        "BasicQWxhZGRpbg==",
    ] {
        assert_eq!(credentials(wrong.as_bytes()), None, "{wrong}");
    }
}
