//! The messages about keys that contradict each other, and about files that cannot be read.

use std::path::Path;

use super::super::{Config, Error, Overrides, Warning, build};
use super::{FULL, SHORT, backends, full, only, parse, parse_with, short};

#[test]
fn unknown_pool_or_plugin_suggests_the_nearest() {
    assert_eq!(
        full("pool = \"api\"", "pool = \"apii\""),
        "conf/proxy.toml:39:8: `pool` in [[routes]]: there is no pool `apii`: did you mean `api`? Allowed: `api`"
    );
    assert!(full("use = \"headers\"", "use = \"header\"").contains(
        "`plugins` in [[routes]]: there is no plugin `header`: did you mean `headers`? Allowed: `limit-api`, `headers`, \
         `choose`"
    ));
}

#[test]
fn duplicate_entry_names_the_line_of_the_first() {
    let again = |lines: &str| only(&format!("{FULL}\n{lines}"));
    assert_eq!(
        again("[[plugins]]\nname = 'choose'\nwasm = 'x.wasm'"),
        "conf/proxy.toml:47:8: `name` in [[plugins]]: the plugin `choose` is already defined on line 28"
    );
    assert_eq!(
        again("[[pools]]\nname = 'api'\nbackends = ['app']"),
        "conf/proxy.toml:47:8: `name` in [[pools]]: the pool `api` is already defined on line 32"
    );
    assert_eq!(
        again("[[routes]]\nmatch = { host = 'api.EXAMPLE.com', path_prefix = '/v1' }\npool = 'api'"),
        "conf/proxy.toml:46:1: [[routes]]: this route matches api.example.com/v1, as the route on line 37 does already"
    );
    assert!(
        full(
            "\"choose\", { use = \"headers\", on",
            "\"headers\", { use = \"headers\", on"
        )
        .contains(
            "the plugin `headers` is already in this route's list; define it a second time under another name"
        )
    );
    assert!(full("\"10.0.0.1:8000\"", "\"http://app:8000/\"").contains(
        "`backends` in [[pools]]: app:8000 is already in this pool (line 33); to send it more requests, give it a `weight`"
    ));
}

#[test]
fn pool_without_or_with_too_many_backends_is_refused() {
    let list = "[\"http://127.0.0.1:8000\", \"http://127.0.0.1:8001\"]";
    assert_eq!(
        short(list, "[]"),
        "conf/proxy.toml:7:12: `backends` in [upstreams]: a pool needs at least one backend"
    );
    let many = (0..65536)
        .map(|n| format!("'10.0.0.1:80{n}',"))
        .collect::<String>();
    assert!(parse(&SHORT.replace(list, &format!("[{many}]"))).is_err());
    let many = (0..65536)
        .map(|n| format!("'10.0.{}.{}',", n / 256, n % 256))
        .collect::<String>();
    assert!(
        short(list, &format!("[{many}]")).contains("a pool has at most 65535 backends, this one has 65536")
    );
}

#[test]
fn mixed_forms_are_refused() {
    assert_eq!(
        only(&format!("{SHORT}\n[[routes]]\npool = 'default'")),
        "conf/proxy.toml:18:1: [upstreams] (line 6) and [[routes]] cannot be used together: the short form is \
         [upstreams], [rate_limit] and [headers], the full form is [[plugins]], [[pools]] and [[routes]]"
    );
    assert!(
        only("[[plugins]]\nname = 'x'\nwasm = 'x'\n[headers]").contains("[headers] (line 4) and [[plugins]]")
    );
}

#[test]
fn file_without_backends_pools_or_routes_is_refused() {
    let nothing = "conf/proxy.toml: there is no backend: [upstreams] needs backends = [\"http://127.0.0.1:8000\"], or \
                   the command line --backend URL";
    assert_eq!(only(""), nothing);
    assert!(
        only("[upstreams]\nmax_retries = 1")
            .starts_with("conf/proxy.toml:1:1: [upstreams]: there is no backend")
    );
    assert!(only("[[routes]]\npool = 'a'").starts_with("conf/proxy.toml: [[pools]] is missing"));
    assert!(
        only("[[pools]]\nname = 'a'\nbackends = ['app']")
            .starts_with("conf/proxy.toml: [[routes]] is missing")
    );
}

#[test]
fn listener_conflicts_and_missing_trust_are_refused() {
    assert_eq!(
        only("[server]\nproxy_protocol = true\n[upstreams]\nbackends = ['app']"),
        "conf/proxy.toml:2:18: `proxy_protocol` in [server]: needs `trusted_proxies`, the networks of those whose \
         PROXY protocol headers are believed"
    );
    assert!(
        full("listen = \"127.0.0.1:9090\"", "listen = \"localhost:8080\"").contains(
            "`listen` in [admin]: clients connect to localhost:8080 already; the admin API needs another"
        )
    );
    assert!(
        short("\"0.0.0.0:8080\"", "\"0.0.0.0\"").contains("`listen` in [server]: \"0.0.0.0\" has no port")
    );
}

#[test]
fn command_line_problem_names_its_option() {
    let message = |text, overrides: &Overrides| parse_with(text, overrides).expect_err("wrong").to_string();
    assert_eq!(
        message(FULL, &backends(&["app"])),
        "--backend: takes the place of [upstreams] backends, but conf/proxy.toml has pools of its own; change them there"
    );
    assert_eq!(
        message(SHORT, &backends(&["ftp://app"])),
        "--backend: \"ftp://app\": the scheme must be `http://`, `https://`, or left out"
    );
    assert_eq!(
        message(SHORT, &backends(&["app", "app"])),
        "--backend: app:80 is already in this pool (given twice); to send it more requests, give it a `weight`"
    );
    let listen = Overrides {
        listen: Some("8080".into()),
        ..Overrides::default()
    };
    assert_eq!(
        message(SHORT, &listen),
        "--listen: \"8080\" has no port; write it as \"0.0.0.0:8080\" or \"[::]:8080\""
    );
    let error = build("", None, &Overrides::default()).expect_err("nothing to serve");
    assert_eq!(
        error.to_string(),
        "command line: there is no backend: give --backend URL, once or more, or a file with --config FILE"
    );
}

#[test]
fn unreadable_file_says_why() {
    let missing = Path::new("/nonexistent/proxy.toml");
    let message = Config::load(missing, &Overrides::default())
        .expect_err("no file")
        .to_string();
    assert!(
        message.starts_with("cannot read /nonexistent/proxy.toml: No such file"),
        "{message}"
    );
    assert!(
        message.ends_with("start without one: pace --backend http://127.0.0.1:8000"),
        "{message}"
    );

    let error = Error::not_utf8(Path::new("proxy.toml"), b"[server]\nlisten = \"");
    assert_eq!(
        error.to_string(),
        "proxy.toml:2: this is not UTF-8, which a configuration must be"
    );
}

/// The kernel would only say that the port is in use by another process, which is this one.
#[test]
fn admin_listener_on_an_address_that_a_listener_has_is_refused() {
    let listening = |listen: &str, admin: &str| {
        let text = format!(
            "[server]\nlisten = '{listen}'\n[admin]\nlisten = '{admin}'\n[upstreams]\nbackends = ['a:1']\n"
        );
        parse(&text).err().map(|error| error.to_string())
    };
    for (listen, admin) in [
        ("0.0.0.0:80", "127.0.0.1:80"),
        (":80", "localhost:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("[::]:80", "[::1]:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("127.0.0.1:80", "127.0.0.1:80"),
    ] {
        let message = listening(listen, admin).expect("it is refused");
        assert!(
            message.contains("already; the admin API needs another"),
            "{message}"
        );
    }
    for (listen, admin) in [
        ("0.0.0.0:80", "127.0.0.1:81"),
        ("0.0.0.0:80", "[::1]:80"),
        ("127.0.0.2:80", "127.0.0.1:80"),
        ("0.0.0.0:0", "127.0.0.1:0"),
    ] {
        assert_eq!(listening(listen, admin), None, "{listen} {admin}");
    }
}

#[test]
fn backend_that_is_a_listener_is_warned_of() {
    let warns = |listen: &str, backend: &str| {
        let text = format!("[server]\nlisten = '{listen}'\n[upstreams]\nbackends = ['{backend}']\n");
        let warnings = parse(&text).expect("it is valid").warnings();
        let own = |warning: &Warning| matches!(warning, Warning::OwnBackend { .. });
        warnings.iter().any(own)
    };
    for (listen, backend) in [
        ("0.0.0.0:80", "127.0.0.1:80"),
        (":80", "http://localhost"),
        ("[::]:80", "[::1]:80"),
        ("10.0.0.1:80", "10.0.0.1:80"),
    ] {
        assert!(warns(listen, backend), "{listen} {backend}");
    }
    for (listen, backend) in [
        ("0.0.0.0:80", "127.0.0.1:81"),
        ("0.0.0.0:80", "10.0.0.1:80"),
        ("127.0.0.1:80", "127.0.0.2:80"),
    ] {
        assert!(!warns(listen, backend), "{listen} {backend}");
    }
}

#[test]
fn default_limit_is_known_to_be_one() {
    let is_default = |rest: &str| {
        let text = format!("{rest}[upstreams]\nbackends = ['a:1']\n");
        parse(&text).expect("it is valid").has_default_rate_limit
    };
    assert!(is_default(""));
    assert!(!is_default("[rate_limit]\n"));
    let full = "[[pools]]\nname = 'web'\nbackends = ['a:1']\n[[routes]]\npool = 'web'\n";
    assert!(!parse(full).expect("it is valid").has_default_rate_limit);
}
