//! The dashboard and the alerts in `config/`: each metric and label in them is one that Pace has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use pace_tests::{HttpBackend, Pace, root};
use serde_json::Value;

use crate::readme::metrics;
use crate::sections::short_form;

/// Labels that Prometheus adds by itself.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

fn read(name: &str) -> String {
    fs::read_to_string(root().join("config").join(name)).expect("the file is there")
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<String> = targets
        .map(|target| target["expr"].as_str().expect("each target has one").to_owned())
        .collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// The names in a text that are metrics of Pace.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .filter(|word| {
            ["pace_", "http_requests_", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

/// The metric that a series belongs to: a histogram has three series.
fn family<'n>(name: &'n str, known: &BTreeMap<String, BTreeSet<String>>) -> &'n str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|base| known.contains_key(*base))
        .unwrap_or(name)
}

#[test]
fn metrics_and_labels_of_dashboard_and_alerts_are_those_of_pace() {
    let known = metrics();
    let alerts = read("prometheus-alerts.yml");
    let expressions = alerts.split("- alert:").skip(1).map(|rule| {
        let (_, rest) = rule.split_once("expr:").expect("each rule has one");
        rest.split("labels:").next().unwrap_or_default().to_owned()
    });
    let mut used = BTreeSet::new();
    for query in queries().into_iter().chain(expressions) {
        let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into_iter().collect();
        for name in named(&query) {
            let of = known
                .get(family(name, &known))
                .unwrap_or_else(|| panic!("{name} in {query}"));
            labels.extend(of.iter().map(String::as_str));
            used.insert(family(name, &known).to_owned());
        }
        for list in query.split(" by (").skip(1) {
            let list = list.split(')').next().unwrap_or_default();
            for label in list.split(", ") {
                assert!(labels.contains(label), "{label} in {query}");
            }
        }
        for matchers in query.split('{').skip(1) {
            let matchers = matchers.split('}').next().unwrap_or_default();
            for label in matchers
                .split("\",")
                .filter_map(|matcher| matcher.split(['=', '!']).next())
            {
                assert!(labels.contains(label.trim()), "{label} in {query}");
            }
        }
    }
    let unused: Vec<_> = known.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.len() <= 4, "no panel and no alert has {unused:?}");
}

#[test]
fn promtool_finds_no_fault_with_alerts_and_metrics() {
    let tool = || Command::new("promtool");
    if tool()
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("SKIPPED: promtool is not installed (package prometheus)");
        return;
    }
    let alerts = root().join("config/prometheus-alerts.yml");
    let checked = tool().args(["check", "rules"]).arg(alerts).output();
    let checked = checked.expect("it has just been there");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&short_form(&[&backend]));
    assert_eq!(pace.get("/").status, 200);
    let text = pace.get("/metrics").text().to_owned();
    let mut child = tool()
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it has just been there");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("it reads all");
    drop(input);
    let checked = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
