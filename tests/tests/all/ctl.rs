//! `pace ctl`, and what the admin listener asks of it.

use pace_tests::{Exit, HttpBackend, Pace, Request, Setup, fixture};
use serde_json::Value;

use crate::sections::{SERVER, plain, with_plugins};
use crate::swapping::reconfigure;

/// Runs `pace ctl` against the admin listener of a Pace.
fn ctl(pace: &Pace, args: &[&str]) -> Exit {
    let address = pace.admin_address().to_string();
    Setup::new().args(["ctl", "--admin", &address]).args(args).run()
}

/// What a command that went well says.
fn said(exit: &Exit) -> &str {
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    &exit.stdout
}

#[test]
fn status_and_lists_show_pools_and_plugins() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("nothing", &fixture("no-op"))],
        &[&backend],
    ));
    assert_eq!(pace.get("/").status, 200);
    pace.wait_for_metric("http_requests_duration_seconds_count", &[], 1);
    let exit = ctl(&pace, &["status"]);
    for part in [
        ": ok\n",
        "requests so far: 1\n",
        "  pool web: 1 of 1 backends healthy\n",
        "  plugin nothing: generation 1\n",
    ] {
        assert!(said(&exit).contains(part), "{part:?} in {exit:#?}");
    }
    let plugins = ctl(&pace, &["plugins"]);
    let lines: Vec<&str> = said(&plugins).lines().collect();
    assert!(lines[0].starts_with("PLUGIN   GENERATION  CALLS"), "{lines:?}");
    let row: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(&row[..5], ["nothing", "1", "1", "0", "closed"]);
    let pools = ctl(&pace, &["pools"]);
    let row: Vec<&str> = said(&pools)
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(&row[..3], ["web", &backend.label(), "healthy"]);
}

#[test]
fn backend_is_drained_and_enabled_and_plugins_are_reloaded() {
    let (one, other) = (HttpBackend::named("one"), HttpBackend::named("other"));
    let pace = Pace::with_config(&plain(&[&one, &other]));
    let label = one.label();
    assert!(said(&ctl(&pace, &["drain", "web", &label])).contains("gets nothing new"));
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "other");
    }
    assert!(said(&ctl(&pace, &["enable", "web", &label])).contains("takes requests"));
    assert_eq!(ctl(&pace, &["reload"]).code, Some(0));
    let exit = ctl(&pace, &["rollback", "nobody"]);
    assert!(exit.refusal().contains("nobody"), "{exit:#?}");
    let exit = ctl(&pace, &["drain", "nowhere", &label]);
    assert!(
        exit.refusal()
            .contains("there is no pool `nowhere`; there are web"),
        "{exit:#?}"
    );
}

#[test]
fn top_has_a_row_for_each_route_backend_and_hook() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    assert_eq!(pace.get("/").status, 200);
    let exit = ctl(&pace, &["top", "--interval", "0.1", "--count", "2"]);
    let text = said(&exit);
    assert_eq!(text.matches("ROUTE ").count(), 2, "{text}");
    for part in [&backend.label(), "builtin:round-robin", "select-upstream"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains('\x1b'), "no screen is cleared where there is none");
}

#[test]
fn nobody_to_ask_is_an_error_that_says_so() {
    let exit = Setup::new()
        .args(["ctl", "--admin", "127.0.0.1:1", "status"])
        .run();
    assert!(exit.refusal().contains("is there [admin]"), "{exit:#?}");
    let config = "[upstreams]\nbackends = ['127.0.0.1:1']\n";
    let setup = Setup::new().file("other.toml", config);
    let exit = setup.args(["ctl", "--config", "other.toml", "status"]).run();
    assert!(exit.refusal().contains("other.toml has no [admin]"), "{exit:#?}");
}

#[test]
fn token_is_wanted_where_one_is_configured_and_read_again_on_a_reload() {
    let backend = HttpBackend::named("one");
    let text = plain(&[&backend]).replace("[admin]", "[admin]\ntoken = { file = 'token' }");
    let pace = Setup::new().config(&text).file("token", "swordfish\n").start();
    let ask = |token: Option<&str>| {
        let mut request = Request::get("/plugins");
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        pace.admin().send(&request)
    };
    let refused = ask(None);
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    for wrong in [
        "swordfish",
        "Basic swordfish",
        "Bearer swordfisk",
        "Bearer swordfish2",
        "Bearer ",
    ] {
        assert_eq!(ask(Some(wrong)).status, 401, "{wrong}");
    }
    assert_eq!(ask(Some("Bearer swordfish")).status, 200);
    assert_eq!(ask(Some("bearer swordfish")).status, 200);
    assert_eq!(pace.admin().get("/metrics").status, 401);
    assert_eq!(pace.admin().get("/health").status, 200, "balancers have no token");

    let address = pace.admin_address().to_string();
    let ctl = |token: &str| {
        Setup::new()
            .env("PACE_ADMIN_TOKEN", token)
            .args(["ctl", "--admin", &address, "plugins"])
            .run()
    };
    assert_eq!(ctl("swordfish").code, Some(0));
    assert!(ctl("wrong").refusal().contains("wants a token"));

    // The new one is read although nothing else has changed.
    std::fs::write(pace.directory().join("token"), "other\n").expect("it is in a temporary directory");
    let reload = Request::post("/reload", "").header("Authorization", "Bearer swordfish");
    assert_eq!(pace.admin().send(&reload).status, 200);
    assert_eq!(ask(Some("Bearer swordfish")).status, 401);
    assert_eq!(ask(Some("Bearer other")).status, 200);
    assert!(!pace.log().contains("swordfish"), "{}", pace.log());
}

#[test]
fn secret_that_is_not_there_is_refused_with_its_reason() {
    for (token, reason) in [
        ("{ file = 'none' }", "cannot read "),
        (
            "{ env = 'PACE_TEST_NOT_THERE' }",
            "the environment has no variable \"PACE_TEST_NOT_THERE\"",
        ),
        (
            "{ env = 'A', file = 'b' }",
            "must be { env = \"NAME\" } or { file = \"PATH\" }",
        ),
        ("'written'", "expected a table"),
    ] {
        let text = format!("[admin]\ntoken = {token}\n[upstreams]\nbackends = ['127.0.0.1:1']\n");
        let exit = Setup::new().args(["check"]).config(&text).run();
        assert!(exit.refusal().contains(reason), "{token}: {}", exit.refusal());
    }
}

#[test]
fn routes_are_listed_in_their_order() {
    let backend = HttpBackend::named("one");
    let text = plain(&[&backend])
        + "[[routes]]\nname = 'long'\nmatch = { path_prefix = '/long' }\nredirect = { to = 'https://a.example/' }\n";
    let pace = Pace::with_config(&text);
    let routes: Value = serde_json::from_slice(&pace.admin().get("/routes").body).expect("it is JSON");
    assert_eq!(
        (&routes[0]["name"], &routes[0]["action"]),
        (&"long".into(), &"redirect".into())
    );
    assert_eq!(routes[1]["pools"][0]["pool"], "web");
    let (status, _) = reconfigure(&pace, |text| text.replace("'long'", "'longer'"));
    assert_eq!(status, 200);
    let routes: Value = serde_json::from_slice(&pace.admin().get("/routes").body).expect("it is JSON");
    assert_eq!(routes[0]["name"], "longer");
}
