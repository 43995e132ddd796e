//! docs/operations.md compared with the program.

use std::collections::BTreeSet;
use std::fmt::Write;

use pace_tests::Request;
use serde_json::Value;

use super::page::{Page, code};
use super::tables::keys;
use crate::swapping::{SWAPPED, Swapping, reconfigure};

fn page() -> Page {
    Page::of("docs/operations.md")
}

/// Everything marked as code in a column of a table.
fn column(page: &Page, header: &str, index: usize) -> BTreeSet<String> {
    let rows = page.table(header);
    rows.iter().flat_map(|row| code(&row[index])).collect()
}

#[test]
fn requests_on_the_page_are_those_of_the_admin_listener() {
    let swapping = Swapping::new();
    let mut admin = swapping.pace.admin();
    let requests: Vec<_> = page()
        .table("| request | answer |")
        .iter()
        .map(|row| code(&row[0]).remove(0))
        .collect();
    let mut paths = BTreeSet::new();
    for request in &requests {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let target = match path.starts_with("/pools") {
            true => path
                .replace("NAME", "web")
                .replace("ADDR", &swapping.backend.label()),
            false => path.replace("NAME", SWAPPED),
        };
        let other = if method == "GET" { "POST" } else { "GET" };
        let status = admin.send(&Request::new(method, &target)).status;
        assert!([200, 409].contains(&status), "{request}: {status}");
        assert_eq!(
            admin.send(&Request::new(other, &target)).status,
            405,
            "{other} {path}"
        );
        paths.insert(path.to_owned());
    }

    let unknown = admin.get("/nothing");
    let known = unknown.text().split([' ', ',', '\n', ';']);
    let known = known.filter(|word| word.starts_with('/')).map(str::to_owned);
    assert_eq!(paths, known.collect());
}

#[test]
fn fields_on_the_page_are_those_of_a_backend() {
    let swapping = Swapping::new();
    let Value::Object(backend) = swapping.pace.backend("web", &swapping.backend.label()) else {
        panic!("a backend is an object");
    };
    let rows = page().table("| of a backend | |");
    let documented: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(documented, backend.keys().cloned().collect());
}

#[test]
fn fields_on_the_page_are_those_of_a_plugin() {
    let Value::Object(status) = Swapping::new().status() else {
        panic!("a plugin is an object");
    };
    let rows = page().table("| field | |");
    let documented: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(documented, status.keys().cloned().collect());
    let of_breaker = rows
        .iter()
        .find(|row| row[0] == "`breaker`")
        .expect("it is there");
    let Value::Object(breaker) = &status["breaker"] else {
        panic!("a breaker is an object");
    };
    assert_eq!(
        code(&of_breaker[1]).into_iter().collect::<BTreeSet<_>>(),
        breaker.keys().cloned().collect()
    );
}

/// All these keys are changed at once, and the refusal names each.
#[test]
fn keys_that_need_a_restart_on_the_page_are_those_refused() {
    let swapping = Swapping::new();
    // An authority is asked for certificates of listeners with TLS, which may change themselves.
    let listeners = "[[listeners]]\nlisten = '127.0.0.1:0'\ntls = {}\n\
                     [acme]\ndirectory = 'https://a.invalid'\nnames = ['a.example']\nstate_dir = 'acme'\n";
    let (status, sentence) = reconfigure(&swapping.pace, |text| {
        text.replacen("listen = \"127.0.0.1:0\"\n", "", 1)
            .replace("127.0.0.1:0", "127.0.0.2:0")
            .replace("workers = 2", "workers = 3")
            .replace(
                "[server]",
                "[server]\nshutdown_delay_ms = 1\ngrace_period_seconds = 1\nproxy_protocol = true\n\
                 trusted_proxies = ['127.0.0.1']\ntcp_keepalive_seconds = 5\ncache_dir = '/nowhere'",
            )
            + listeners
    });
    assert_eq!(status, 409, "{sentence}");
    let named: BTreeSet<String> = code(&sentence).into_iter().collect();
    let (page, header) = (page(), "| key | |");
    let mut documented = column(&page, header, 0);
    documented.extend(column(&page, header, 1));
    // `true` is a value of another key, on which this one depends.
    documented.remove("true");
    assert_eq!(documented, named);
}

#[test]
fn reasons_on_the_page_are_those_of_the_metrics() {
    let metrics = Page::of("docs/metrics.md").table("| metric | type | labels | |");
    let counted = metrics
        .iter()
        .find(|row| row[0] == "`pace_plugin_failures_total`")
        .expect("another test compares it with the program");
    let documented = page().table("| reason | what has happened | the instance |");
    let documented: BTreeSet<String> = documented.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(documented, code(&counted[3]).into_iter().collect());
}

#[test]
fn reasons_of_failed_handshakes_on_the_page_are_those_of_the_metrics() {
    let metrics = Page::of("docs/metrics.md").table("| metric | type | labels | |");
    let counted = metrics
        .iter()
        .find(|row| row[0] == "`pace_tls_handshake_failures_total`")
        .expect("another test compares it with the program");
    let documented = column(&page(), "| reason | what has happened |", 0);
    assert_eq!(documented, code(&counted[3]).into_iter().collect());
}

/// Writing down a default changes nothing, and Pace reports that.
#[test]
fn defaults_of_a_plugin_on_the_page_are_those_of_the_program() {
    let swapping = Swapping::new();
    let (mut written, mut table) = (String::new(), "[[plugins]]".to_owned());
    let of_plugin = |table: &str| table.starts_with("[[plugins]]");
    for key in keys().iter().filter(|key| of_plugin(&key.table)) {
        let Some(default) = key.default() else { continue };
        if key.table != table {
            key.table.clone_into(&mut table);
            let inner = table.trim_start_matches("[[plugins]] ");
            writeln!(written, "[plugins.{inner}]").expect("a String takes every write");
        }
        writeln!(written, "{} = {default}", key.key).expect("a String takes every write");
    }
    assert!(
        written.contains("recycle_uses = 0") && written.contains("[plugins.rollback]"),
        "{written}"
    );

    let outcome = reconfigure(&swapping.pace, |text| {
        text.replacen("\n[[pools]]", &format!("{written}\n[[pools]]"), 1)
    });
    assert_eq!(outcome, (200, "nothing has changed\n".to_owned()));
    let published = [("result", "published")];
    let metrics = swapping.pace.metrics();
    assert!(!metrics.has("pace_config_reloads_total", &published), "{written}");
}
