//! Tests of configurations: edits or refusals come of them.

use pace_plugin::parse_config;

use super::*;

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
fn empty_configuration_identifies_and_edits_nothing() {
    let config = parse_config("{}");
    let nothing = || Edits {
        remove: vec![],
        set: vec![],
        add: vec![],
    };
    let expected = Config {
        identify: true,
        request: RequestEdits(nothing()),
        response: ResponseEdits(nothing()),
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn edits_are_read_for_each_side() {
    let config: Config = parse_config(
        r#"{
            "identify": false,
            "request": {"set": {"Host": "internal"}, "remove": ["cookie"]},
            "response": {"add": {"vary": ["accept", "cookie"], "x-one": "1"}}
        }"#,
    )
    .expect("legal");
    assert!(!config.identify);
    assert_eq!(config.request.0.set, [header("Host", "internal")]);
    assert_eq!(config.request.0.remove, [name("cookie")]);
    let added = [
        header("vary", "accept"),
        header("vary", "cookie"),
        header("x-one", "1"),
    ];
    assert_eq!(config.response.0.add, added);
}

#[test]
fn wrong_configuration_is_refused_with_the_path_of_the_key() {
    for (config, path, reason) in [
        (
            r#"{"respons": {}}"#,
            "respons",
            "unknown field `respons`, expected one of `identify`",
        ),
        (
            r#"{"request": {"sets": {}}}"#,
            "request.sets",
            "unknown field `sets`",
        ),
        (
            r#"{"request": {"set": {"x y": "1"}}}"#,
            "request.set.x y",
            "`x y`: the name is empty or has a character",
        ),
        (
            r#"{"request": {"set": {"x": 1}}}"#,
            "request.set.x",
            "invalid type: integer `1`, expected a string",
        ),
        (
            r#"{"request": {"set": {"x": "a\nb"}}}"#,
            "request.set.x",
            r#""a\nb": the value has a character"#,
        ),
        (
            r#"{"request": {"set": {"x": "1", "X": "2"}}}"#,
            "request",
            "`X` is set twice",
        ),
        (
            r#"{"request": {"set": {"Host": "a/b"}}}"#,
            "request",
            r#"set.Host: "a/b" is not a host"#,
        ),
        (
            r#"{"request": {"remove": ["host"]}}"#,
            "request",
            "`host` can be set",
        ),
        (
            r#"{"request": {"add": {"Host": "a"}}}"#,
            "request",
            "`host` can be set",
        ),
        (
            r#"{"response": {"remove": ["te"]}}"#,
            "response.remove[0]",
            "`te`: the header belongs to the connection",
        ),
        (
            r#"{"response": {"add": {"x": 1}}}"#,
            "response.add.x",
            "expected a string or a list of strings",
        ),
        (
            r#"{"response": {"add": {"x": ["a", "\u0000"]}}}"#,
            "response.add.x[1]",
            "the value has a character",
        ),
        (
            r#"{"response": {"add": {"x": "\r"}}}"#,
            "response.add.x",
            "the value has a character",
        ),
        (
            r#"{"response": {"set": {"Content-Length": "1"}}}"#,
            "response.set.Content-Length",
            "`Content-Length`: the header",
        ),
    ] {
        let refusal = parse_config::<Config>(config).expect_err(config);
        assert!(
            refusal.starts_with(&format!("{path}: ")) && refusal.contains(reason),
            "{config}: {refusal}"
        );
    }
}
