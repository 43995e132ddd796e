//! The configuration that serves, as the admin listener shows it.

use pace_tests::{HttpBackend, Pace, Request, Setup};
use serde_json::Value;

use crate::sections::{plain, short_form};
use crate::swapping::reconfigure;

fn json(pace: &Pace) -> Value {
    let request = Request::get("/config").header("Accept", "application/json");
    let response = pace.admin().send(&request);
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).expect("it is JSON")
}

#[test]
fn configuration_is_shown_in_full_and_can_be_served_with() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{}\n[admin]\nlisten = '127.0.0.1:0'\n",
        short_form(&[&backend])
    ));
    let shown = pace.admin().get("/config");
    assert_eq!(shown.header("content-type"), Some("application/toml"));
    let text = shown.text();
    for part in [
        "[server]\nworkers = 4\n",
        "grace_period_seconds = 10\n",
        "[[plugins]]\nname = \"rate-limiter\"\n",
        &backend.url(),
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let again = Pace::with_config(text);
    assert_eq!(again.get("/").text(), "one");
    assert_eq!(again.admin().get("/config").text(), text);
    let (json, routes) = (json(&pace), &json(&again)["routes"]);
    assert_eq!(&json["routes"], routes);
    assert_eq!(json["server"]["workers"], 4);
}

#[test]
fn options_of_the_command_line_are_in_it_and_a_reload_changes_it() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&plain(&[&backend]))
        .args(["--listen", "localhost:0"])
        .start();
    assert_eq!(json(&pace)["listeners"][0]["listen"], "localhost:0");
    assert_eq!(json(&pace)["pools"][0]["total_timeout_ms"], 0);
    let (status, _) = reconfigure(&pace, |text| {
        text.replace("[[pools]]", "[[pools]]\ntotal_timeout_ms = 77")
    });
    assert_eq!(status, 200);
    assert_eq!(json(&pace)["pools"][0]["total_timeout_ms"], 77);
    let (status, _) = reconfigure(&pace, |text| {
        text.replace("total_timeout_ms = 77", "total_timeout_ms = -1")
    });
    assert_eq!(status, 409);
    assert_eq!(
        json(&pace)["pools"][0]["total_timeout_ms"],
        77,
        "what serves is shown"
    );
}

#[test]
fn no_secret_is_shown() {
    let backend = HttpBackend::named("one");
    let text = plain(&[&backend]).replace("[admin]", "[admin]\ntoken = { env = 'PACE_TEST_TOKEN' }")
        + "[tracing]\ncollector = 'http://127.0.0.1:1/?api_key=swordfish'\nheaders = { authorization = { file = 'secret' } }\n\
           [[plugins]]\nname = 'headers'\nwasm = 'builtin:header-injection'\n\
           config = { request = { set = { authorization = 'Basic swordfish', x-env = 'prod' } } }\n\
           [[routes]]\nname = 'keyed'\nmatch = { headers = { x-api-key = 'swordfish' } }\npool = 'web'\n";
    let pace = Setup::new()
        .config(&text)
        .file("secret", "swordfish")
        .env("PACE_TEST_TOKEN", "swordfish")
        .start();
    let request = |accept: &str| {
        Request::get("/config")
            .header("Authorization", "Bearer swordfish")
            .header("Accept", accept)
    };
    for accept in ["*/*", "application/json"] {
        let shown = pace.admin().send(&request(accept));
        assert_eq!(shown.status, 200);
        let text = shown.text();
        assert!(!text.contains("swordfish"), "{text}");
        for part in ["PACE_TEST_TOKEN", "secret", "prod", "(secret)"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    let routes = pace
        .admin()
        .send(&Request::get("/routes").header("Authorization", "Bearer swordfish"));
    let shown = routes.text();
    assert!(
        !shown.contains("swordfish") && shown.contains("x-api-key"),
        "{shown}"
    );
    let printed = Setup::new()
        .within(pace.directory())
        .env("PACE_ADMIN_TOKEN", "swordfish")
        .args(["ctl", "--admin", &pace.admin_address().to_string(), "config"])
        .run();
    assert_eq!(printed.code, Some(0), "{printed:#?}");
    assert!(printed.stdout.starts_with("[server]\n"), "{printed:#?}");
    assert!(!printed.stdout.contains("swordfish"), "{printed:#?}");
}
