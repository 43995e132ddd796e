//! The full form: the route that a request takes, and what is chosen there.

use std::collections::BTreeMap;

use pace_tests::{HttpBackend, Pace, Request};

use crate::sections::{SERVER, pool};

#[test]
fn most_specific_route_serves() {
    let backends = ["any", "deep", "host", "host-v1"].map(HttpBackend::named);
    let [any, deep, host, host_v1] = &backends;
    let pools = [("any", any), ("deep", deep), ("host", host), ("host-v1", host_v1)]
        .map(|(name, backend)| pool(name, &[backend]))
        .join("\n");
    let pace = Pace::with_config(&format!(
        r#"{SERVER}{pools}
[[routes]]
pool = "any"

[[routes]]
match = {{ host = "api.example.com" }}
pool = "host"

[[routes]]
match = {{ host = "API.example.com", path_prefix = "/v1" }}
pool = "host-v1"

[[routes]]
match = {{ path_prefix = "/v1/deep" }}
pool = "deep"
"#
    ));
    let mut client = pace.client();
    let mut ask = |host: &str, path: &str| {
        let request = Request::get(path).header("Host", host);
        client.send(&request).text().to_owned()
    };

    assert_eq!(ask("www.example.com", "/"), "any");
    assert_eq!(ask("www.example.com", "/v1/deep/er"), "deep");
    assert_eq!(
        ask("www.example.com", "/v1/deeper"),
        "any",
        "a prefix ends at a segment"
    );
    assert_eq!(ask("api.example.com", "/v2"), "host");
    assert_eq!(ask("Api.Example.Com:8080", "/v1?x"), "host-v1");
    assert_eq!(
        ask("api.example.com", "/v1/deep"),
        "host-v1",
        "the host comes first"
    );
    assert_eq!(ask("api.example.com", "/v10"), "host");
}

#[test]
fn request_without_a_route_is_a_404() {
    let backend = HttpBackend::named("one");
    let pool = pool("web", &[&backend]);
    let pace = Pace::with_config(&format!(
        "{SERVER}{pool}\n[[routes]]\nmatch = {{ host = \"a.example\", path_prefix = \"/app\" }}\npool = \"web\"\n"
    ));
    let mut client = pace.client();
    let mut ask = |host: &str, path: &str| client.send(&Request::get(path).header("Host", host)).status;

    assert_eq!(ask("a.example", "/app/x"), 200);
    assert_eq!(ask("a.example", "/"), 404);
    assert_eq!(ask("b.example", "/app"), 404);
    assert_eq!(ask("a.example", "/app"), 200, "the connection goes on");
    assert_eq!(client.connections(), 1);
    assert_eq!(backend.requests().len(), 2);
}

/// A route without a plugin that chooses a backend gets one.
#[test]
fn route_without_a_balancer_takes_turns() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pool = pool("web", &[&one, &two]);
    let pace = Pace::with_config(&format!("{SERVER}{pool}\n[[routes]]\npool = \"web\"\n"));
    let mut client = pace.client();
    let answers = [(); 4].map(|()| client.get("/").text().to_owned());
    assert_eq!(answers, ["one", "two", "one", "two"]);
    assert_eq!(client.get("/").header("x-proxy"), None, "nothing else is added");
    assert!(!pace.log().contains("503"), "{}", pace.log());
}

#[test]
fn backend_is_chosen_by_weight() {
    let backends = ["one", "two", "none"].map(HttpBackend::named);
    let [one, two, none] = backends.each_ref().map(HttpBackend::label);
    let pace = Pace::with_config(&format!(
        r#"{SERVER}
[[pools]]
name = "web"
backends = [
    {{ address = "{one}", weight = 3 }},
    "{two}",
    {{ address = "{none}", weight = 0 }},
]

[[routes]]
pool = "web"
"#
    ));
    let mut client = pace.client();
    let mut answers = BTreeMap::new();
    for _ in 0..20 {
        *answers.entry(client.get("/").text().to_owned()).or_default() += 1;
    }
    let expected = [("one".to_owned(), 15), ("two".to_owned(), 5)];
    assert_eq!(answers, BTreeMap::from(expected));
}

#[test]
fn route_overrides_keys_of_a_plugins_config() {
    let backend = HttpBackend::named("one");
    let pool = pool("web", &[&backend]);
    let pace = Pace::with_config(&format!(
        r#"{SERVER}{pool}
[[plugins]]
name = "headers"
wasm = "builtin:header-injection"
config = {{ response = {{ set = {{ x-env = "staging", x-team = "edge" }} }} }}

[[routes]]
pool = "web"
plugins = ["headers"]

[[routes]]
match = {{ path_prefix = "/v1" }}
pool = "web"
plugins = [{{ use = "headers", config = {{ identify = false, response = {{ set = {{ x-env = "prod" }} }} }} }}]
"#
    ));
    let mut client = pace.client();
    let mut headers = |path: &str| {
        let response = client.get(path);
        ["x-env", "x-team", "x-proxy"].map(|name| response.header(name).map(str::to_owned))
    };
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(headers("/"), [some("staging"), some("edge"), some("pace")]);
    // The route's table is merged into the plugin's, key by key.
    assert_eq!(headers("/v1"), [some("prod"), some("edge"), None]);
}
