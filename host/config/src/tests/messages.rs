//! The messages that the operator reads.

use super::super::Error;
use super::{FULL, SHORT, config, full, only, parse, short};

#[test]
fn message_has_place_key_reason_and_line() {
    let error = parse(&SHORT.replace("max_requests", "max_request")).expect_err("an unknown key");
    let expected = "\
conf/proxy.toml:10:1: unknown key `max_request` in [rate_limit]: did you mean `max_requests`? Allowed: `enabled`, \
`max_requests`, `window_seconds`, `key_extractor`, `ipv4_prefix`, `ipv6_prefix`
  10 | max_request = 100
     | ^^^^^^^^^^^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn refusal_of_a_plugin_has_the_line_and_the_words_of_the_file() {
    let refused = |text: &str, plugin: &str, route: Option<&str>, reason: &str| {
        let problem = config(text).refused_by_plugin(plugin, route, reason);
        problem.map(|problem| problem.headline())
    };
    let short = SHORT.replace(
        "[metrics]",
        "[headers]\nrequest = { set = { \"a b\" = \"1\" } }\n\n[metrics]",
    );
    for (plugin, reason, said) in [
        (
            "header-injection",
            "request.set.a b: no name",
            "conf/proxy.toml:15:21: `request.set.a b` in [headers]: no name",
        ),
        (
            "rate-limiter",
            "key: too long",
            "conf/proxy.toml:12:1: `key_extractor` in [rate_limit]: too long",
        ),
        (
            "header-injection",
            "something is wrong",
            "conf/proxy.toml:14:2: [headers]: something is wrong",
        ),
    ] {
        let problem = refused(&short, plugin, None, reason);
        assert_eq!(problem.as_deref(), Some(said), "{reason}");
    }
    let limit = "plugin `limit-api` (builtin:rate-limiter)";
    let headers =
        "plugin `headers` (conf/plugins/headers.wasm): with the configuration of route `api.example.com/v1`";
    for (plugin, route, reason, said) in [
        (
            "limit-api",
            None,
            "max_requests: 0",
            format!("17:12: `config.max_requests` in [[plugins]]: {limit}: max_requests: 0"),
        ),
        (
            "headers",
            Some("api.example.com/v1"),
            "response.set.x-env: bad",
            format!("`plugins.config.response.set.x-env` in [[routes]]: {headers}: response.set.x-env: bad"),
        ),
        (
            "headers",
            Some("api.example.com/v1"),
            "response.set.x-team: bad",
            format!("`config.response.set.x-team` in [[plugins]]: {headers}: response.set.x-team: bad"),
        ),
    ] {
        let problem = refused(FULL, plugin, route, reason).unwrap_or_default();
        assert!(problem.ends_with(&said), "{problem}");
    }
    assert_eq!(
        refused(SHORT, "header-injection", None, "there is no table"),
        None
    );
}

#[test]
fn date_in_the_place_of_a_text_says_so() {
    assert_eq!(
        short("\"0.0.0.0:8080\"", "1979-05-27"),
        "conf/proxy.toml:3:10: `listen` in [server]: expected a string, found the date 1979-05-27, which is a text only in \
         quotes: \"1979-05-27\""
    );
}

#[test]
fn problems_are_shown_in_the_order_of_the_file() {
    let text = SHORT
        .replace("workers = 4", "workers = 0\ncolour = 'red'")
        .replace("\"http://127.0.0.1:8000\"", "\"ftp://127.0.0.1:8000\", 5")
        .replace("enabled = true", "enabled = 'yes'");
    let error = parse(&text).expect_err("five problems");
    let Error::Invalid(problems) = &error else {
        panic!("{error}")
    };
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.location.to_string())
        .collect();
    let expected = ["4:11", "5:1", "8:13", "8:37", "16:11"].map(|at| format!("conf/proxy.toml:{at}"));
    assert_eq!(lines, expected, "{error}");
    assert!(error.headline().ends_with("(and 4 more)"), "{}", error.headline());
}

#[test]
fn key_with_a_wrong_value_is_not_reported_missing() {
    let text = FULL
        .replace("name = \"api\"", "name = 5")
        .replace("pool = \"api\"", "pool = 5");
    let Err(Error::Invalid(problems)) = parse(&text) else {
        panic!("three problems")
    };
    assert_eq!(problems.len(), 3, "{problems:#?}");
}

#[test]
fn problems_beyond_the_limit_are_left_out() {
    let text = (0..100).map(|n| format!("key{n} = 1\n")).collect::<String>();
    let Err(Error::Invalid(problems)) = parse(&text) else {
        panic!("many problems")
    };
    assert_eq!(problems.len(), 20);
}

#[test]
fn syntax_error_has_its_place() {
    assert_eq!(
        only("[server\n"),
        "conf/proxy.toml:1:8: not valid TOML: unclosed table, expected `]`"
    );
    assert_eq!(
        only("a = 1\na = 2"),
        "conf/proxy.toml:2:1: not valid TOML: duplicate key"
    );
    assert_eq!(
        only("[server]\nlisten = 0.0.0.0:8080"),
        "conf/proxy.toml:2:13: not valid TOML: invalid float; a text must be in quotes"
    );
}

#[test]
fn message_with_control_characters_is_escaped() {
    let message = only("[\"a\\n\\u001bb\"]\n[upstreams]\nbackends = ['app']");
    assert!(
        message.contains("unknown key `a\\n\\u{1b}b` in the file"),
        "{message}"
    );
}

#[test]
fn unknown_key_suggests_the_nearest_and_lists_all() {
    let allowed = "Allowed: `server`, `listeners`, `acme`, `admin`, `metrics`, `access_log`, `tracing`, `upstreams`, `rate_limit`, `headers`, `plugins`, `pools`, `routes`";
    assert_eq!(
        short("[upstreams]", "[upstream]"),
        format!(
            "conf/proxy.toml:6:2: unknown key `upstream` in the file: did you mean `upstreams`? {allowed}"
        )
    );
    assert_eq!(
        full("path_prefix", "path_prefx"),
        "conf/proxy.toml:38:37: unknown key `path_prefx` in `match` in [[routes]]: did you mean `path_prefix`? \
         Allowed: `host`, `path_prefix`, `path`, `path_regex`, `methods`, `headers`, `query`"
    );
    assert_eq!(
        full("weight", "wieght"),
        "conf/proxy.toml:33:61: unknown key `wieght` in `backends` in [[pools]]: did you mean `weight`? Allowed: \
         `address`, `weight`, `backup`"
    );
    assert!(
        full("on_failure = \"closed\" }", "zzz = 1 }").contains("in `plugins` in [[routes]]. Allowed: `use`")
    );
}

#[test]
fn wrong_type_or_range_names_expected_and_found() {
    let workers = |value: &str| short("workers = 4", &format!("workers = {value}"));
    let expected =
        "conf/proxy.toml:4:11: `workers` in [server]: expected an integer from 1 to 1024, found the ";
    assert_eq!(workers("0"), format!("{expected}integer 0"));
    assert_eq!(workers("-1"), format!("{expected}integer -1"));
    assert_eq!(
        workers("99999999999999999999"),
        format!("{expected}integer 99999999999999999999")
    );
    assert_eq!(workers("4.0"), format!("{expected}float 4.0"));
    assert_eq!(
        workers("\"4, expected 5\""),
        format!("{expected}string \"4, expected 5\"")
    );
    assert!(full("time_ms = 5", "time_ms = 1001").contains(
        "`limits.time_ms` in [[plugins]]: expected an integer from 1 to 1000, found the integer 1001"
    ));
    assert!(
        short("enabled = true", "enabled = 1")
            .contains("`enabled` in [metrics]: expected a boolean, found the integer 1")
    );
    assert!(
        short("listen = \"0.0.0.0:8080\"", "listen = 8080")
            .contains("expected a string, found the integer 8080")
    );
    assert!(
        short(
            "[metrics]\nenabled = true\nendpoint = \"/metrics\"",
            "[[metrics]]"
        )
        .contains("[[metrics]]: expected a table, written [metrics], found a list")
    );
    assert!(
        full("[[pools]]", "[pools]").contains("[pools]: expected a list, written [[pools]], found a table")
    );
    assert!(short("\"http://127.0.0.1:8000\"", "8000").contains(
        "`backends` in [upstreams]: expected an address such as \"127.0.0.1:8000\" or { address = \"...\", weight = 2 }, \
         found the integer 8000"
    ));
    assert!(
        full("limits = { time_ms = 5, memory_mb = 8 }", "limits = [5, 8]")
            .contains("`limits` in [[plugins]]: expected a table, found a list")
    );
    assert!(
        full("config = { max_requests", "config = 5 # ")
            .contains("`config` in [[plugins]]: expected a table")
    );
}

#[test]
fn missing_key_is_named_with_its_table() {
    assert_eq!(
        full("wasm = \"builtin:rate-limiter\"\n", ""),
        "conf/proxy.toml:12:1: [[plugins]]: the key `wasm` is missing"
    );
    assert!(
        full("{ use = \"headers\", on_failure", "{ on_failure")
            .contains("`plugins` in [[routes]]: the key `use` is missing")
    );
    assert!(full("address", "weight = 1 } #").contains("not valid TOML"));
    assert!(
        full("{ address = \"http://app:8000\", weight = 2 }", "{ weight = 2 }")
            .contains("the key `address` is missing")
    );
}

#[test]
fn refused_value_says_why() {
    let key = "conf/proxy.toml:12:17: `key_extractor` in [rate_limit]: ";
    assert_eq!(
        short("\"client_ip\"", "\"ip\""),
        format!("{key}\"ip\" must be \"client_ip\" or \"header:NAME\" with the name of a request header")
    );
    assert!(full("\"limit-api\"", "\"a, expected b\"").contains("\"a, expected b\" is not a name"));
    assert!(short("\"client_ip\"", "\"header:a b\"").contains("\"header:NAME\""));
    let underscore = short("\"client_ip\"", "\"header:x_key\"");
    assert!(
        underscore.contains("no request has the field `x_key`"),
        "{underscore}"
    );
    assert!(
        short("\"/metrics\"", "\"metrics\"")
            .contains("`endpoint` in [metrics]: \"metrics\" must start with `/`")
    );
    assert!(full("\"/v1\"", "\"/v1?x\"").contains("without `?` and `#`"));
    assert!(full("\"/v1\"", "\"/a b\"").contains("as in a URL, without spaces"));
    assert!(full("\"/v1\"", "\"/a%2fb\"").contains("encoded slashes and backslashes are refused"));
    assert!(full("\"/v1\"", "\"/a%\"").contains("no request can have it as its path"));
    assert!(full("\"limit-api\"", "\"Limit API\"").contains("is not a name: 1 to 48 characters"));
    assert!(
        full("on_failure = \"closed\"", "on_failure = \"ignore\"").contains("must be \"closed\" or \"open\"")
    );
    assert!(full("10.0.0.0/8", "10.0.0.0/33").contains("neither a network such as"));
    assert!(full("x-env = \"test\"", "x-env = nan").contains("numbers must be finite"));
    assert!(full("builtin:rate-limiter", "builtin:rate-limit").contains(
        "`wasm` in [[plugins]]: there is no builtin plugin `rate-limit`: did you mean `rate-limiter`? Allowed: \
         `rate-limiter`, `round-robin`, `least-request`, `peak-ewma`, `consistent-hash`, `header-injection`"
    ));
    assert!(
        short("\"http://127.0.0.1:8000\"", "\"ftp://127.0.0.1\"").contains(
            "`backends` in [upstreams]: \"ftp://127.0.0.1\": the scheme must be `http://`, `https://`, or left out"
        )
    );
}
