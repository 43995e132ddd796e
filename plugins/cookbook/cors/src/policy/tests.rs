use super::*;

fn policy(json: &str) -> Result<Policy, String> {
    pace_plugin::parse_config(json).and_then(|config| Policy::new(&config))
}

fn header(name: &'static str, value: &str) -> Header {
    (name, value.into())
}

#[test]
fn an_origin_is_allowed_as_a_whole() {
    let policy =
        policy(r#"{"origins": ["https://a.example", "http://localhost:3000"]}"#).expect("it is right");
    assert_eq!(
        policy.allow(b"https://a.example"),
        Some(vec![header(ALLOW_ORIGIN, "https://a.example")])
    );
    for other in [
        "",
        "null",
        "*",
        "https://a.example.evil",
        "http://a.example",
        "https://a.example:8443",
    ] {
        assert_eq!(policy.allow(other.as_bytes()), None, "{other}");
    }
    assert!(policy.depends_on_origin());
}

#[test]
fn all_origins_are_allowed_by_a_star() {
    let policy = policy(r#"{"origins": ["*"]}"#).expect("it is right");
    assert_eq!(
        policy.allow(b"https://any.example"),
        Some(vec![header(ALLOW_ORIGIN, "*")])
    );
    assert!(!policy.depends_on_origin());
}

#[test]
fn credentials_go_with_a_named_origin() {
    let policy = policy(r#"{"origins": ["https://a.example"], "credentials": true}"#).expect("it is right");
    let allowed = policy.allow(b"https://a.example").unwrap_or_default();
    assert_eq!(allowed[1], header(ALLOW_CREDENTIALS, "true"));
    let star = self::policy(r#"{"origins": ["*"], "credentials": true}"#)
        .err()
        .unwrap_or_default();
    assert!(star.starts_with("credentials: not for all origins"), "{star}");
}

#[test]
fn a_preflight_is_told_all_at_once() {
    let json = r#"{"origins": ["*"], "methods": ["PUT"], "headers": ["X-A", "X-B"], "expose": ["X-C"]}"#;
    let policy = policy(json).expect("it is right");
    let expected = [
        header("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT"),
        header("Access-Control-Allow-Headers", "X-A, X-B"),
        header("Access-Control-Max-Age", "600"),
    ];
    assert_eq!(policy.permissions(), expected);
    assert_eq!(policy.exposed(), Some(header(EXPOSE_HEADERS, "X-C")));
}

#[test]
fn mistakes_are_named() {
    let refusal = |json: &str| policy(json).err().unwrap_or_default();
    assert!(refusal(r#"{"origins": []}"#).starts_with("origins: at least one"));
    for wrong in [
        "a.example",
        "https://A.example",
        "https://a.example/",
        "https://a.example:443",
        "null",
        "https://",
    ] {
        let message = refusal(&format!(r#"{{"origins": ["https://a.example", {wrong:?}]}}"#));
        assert!(message.starts_with("origins[1]: "), "{wrong}: {message}");
    }
    assert!(refusal(r#"{"origins": ["*", "https://a.example"]}"#).starts_with("origins[0]: `*`"));
    assert!(refusal(r#"{"origins": ["*"], "headers": ["X A"]}"#).starts_with("headers[0]: `X A`"));
    assert!(refusal(r#"{"origins": ["*"], "max_age_seconds": 86401}"#).starts_with("max_age_seconds: "));
}
