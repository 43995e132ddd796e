//! Facts about a request that plugins are told, and the facts that they leave for each other, for the pool and for the log.

use pace_tests::{HttpBackend, Pace, Request, fixture, wait_for};
use serde_json::{Value, json};

use crate::sections::plugin;

const LOG: &str = "access.log";

/// Starts Pace with the fixture twice on a route with two pools, the second of which is for plugins alone.
fn start(usual: &HttpBackend, large: &HttpBackend, isolation: &str) -> Pace {
    let isolation = format!("isolation = \"{isolation}\"\n");
    let of = |name: &str| plugin(name, &fixture("tells-request")) + &isolation;
    Pace::with_config(&format!(
        "[server]\nlisten = '127.0.0.1:0'\nworkers = 1\ntrusted_proxies = ['127.0.0.2/32']\n\n\
         [admin]\nlisten = '127.0.0.1:0'\n\n\
         [access_log]\nfile = '{LOG}'\nformat = 'json'\nfields = ['path', 'annotations']\n\n\
         {}{}\
         [[pools]]\nname = 'usual'\nbackends = ['{}']\n\n\
         [[pools]]\nname = 'large'\nbackends = ['{}']\n\n\
         [[pools]]\nname = 'other'\nbackends = ['127.0.0.1:1']\n\n\
         [[routes]]\nname = 'all'\nplugins = ['mine', 'other']\n\
         pools = [{{ pool = 'usual', weight = 1 }}, {{ pool = 'large', weight = 0 }}]\n",
        of("mine"),
        of("other"),
        usual.label(),
        large.label(),
    ))
}

#[test]
fn plugin_is_told_the_facts_of_a_request() {
    let (usual, large) = (HttpBackend::named("usual"), HttpBackend::named("large"));
    let pace = start(&usual, &large, "worker");
    let answer = pace.client().get("/a/../b%41?c");
    assert_eq!(answer.text(), "usual");
    let told = "1.1 /a/../b%41?c /bA /changed peer 127.0.0.1 client 127.0.0.1 trusted false route all";
    let request = usual.request();
    assert_eq!(
        request.headers.get("x-facts"),
        Some(format!("{told} pool None named None now None").as_str())
    );
    assert_eq!(request.target, "/changed");
}

#[test]
fn plugin_sends_a_request_to_another_pool_of_its_route_and_to_no_other() {
    let (usual, large) = (HttpBackend::named("usual"), HttpBackend::named("large"));
    let pace = start(&usual, &large, "worker");
    let mut client = pace.client();
    for (name, pool, said) in [
        ("large", &large, "named Some(\"done\") now Some(\"large\")"),
        ("usual", &usual, "named Some(\"done\") now Some(\"usual\")"),
        ("other", &usual, "named Some(\"NotGranted\") now None"),
        ("none", &usual, "named Some(\"NotGranted\") now None"),
    ] {
        let answer = client.send(&Request::get("/").header("x-pool", name));
        let seen = pool.requests();
        let facts = seen.last().and_then(|request| request.headers.get("x-facts"));
        assert!(
            facts.is_some_and(|facts| facts.contains(said)),
            "{name}: {facts:?}"
        );
        let told = answer.header("x-told").unwrap_or_default();
        let of = if name == "large" { "large" } else { "usual" };
        assert!(told.ends_with(&format!("pool Some(\"{of}\")")), "{told}");
        assert_eq!(answer.text(), of);
    }
}

#[test]
fn facts_reach_later_hooks_and_the_log_whichever_instance_runs_them() {
    for isolation in ["worker", "request"] {
        let (usual, large) = (HttpBackend::named("usual"), HttpBackend::named("large"));
        let pace = start(&usual, &large, isolation);
        let mut client = pace.client();
        for tenant in ["acme", "\"emca\""] {
            let answer = client.send(&Request::get("/").header("x-tenant", tenant));
            let told = answer.header("x-told").unwrap_or_default();
            assert_eq!(told, format!("{tenant} and {tenant}, pool Some(\"usual\")"));
        }
        let without = client.get("/");
        assert_eq!(
            without.header("x-told"),
            Some("and , pool Some(\"usual\")"),
            "nothing is left from the request before"
        );
        pace.wait_for_log(&["mine: over, had true, has false"]);
        pace.wait_for_log(&["other: over, had true, has false"]);
        let lines = wait_for("three lines", || {
            let text = std::fs::read_to_string(pace.directory().join(LOG)).unwrap_or_default();
            let lines: Vec<Value> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            (lines.len() == 3).then_some(lines)
        });
        for (line, tenant) in lines.iter().zip(["acme", "\"emca\"", ""]) {
            let of = |plugin: &str, key: &str| line["annotations"][format!("{plugin}.{key}")].clone();
            for plugin in ["mine", "other"] {
                assert_eq!(
                    [of(plugin, "tenant"), of(plugin, "status"), of(plugin, "ending")],
                    [json!(tenant), json!("200"), json!("complete")],
                    "{line}"
                );
            }
        }
    }
}
