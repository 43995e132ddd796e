//! `pace plugin bench`: measures the cost of each hook. Times are compared only with bounds that every
//! machine exceeds, or none does.

use std::fs;

use pace_tests::{Exit, Setup, fixture, root};
use serde_json::Value;

fn bench(cases: &str, args: &[&str]) -> Exit {
    Setup::new()
        .file("cases.toml", cases)
        .args(["plugin", "bench", "--calls", "200"])
        .args(args)
        .run()
}

/// The columns of a hook's row.
fn row<'o>(exit: &'o Exit, hook: &str) -> Vec<&'o str> {
    let line = exit.stdout.lines().find(|line| line.starts_with(hook));
    line.unwrap_or_else(|| panic!("no {hook} in {exit:#?}"))
        .split_whitespace()
        .collect()
}

#[test]
fn hook_has_a_row_in_the_table() {
    let exit = bench("", &["builtin:header-injection"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    // The request filter sets one header, the response filter two, and asks for the backend.
    for (hook, calls_out, copies) in [("request-filter", "1", "2"), ("response-filter", "3", "4")] {
        let columns = row(&exit, hook);
        assert_eq!(columns.len(), 10, "{columns:?}");
        assert!(
            columns[1].parse::<u64>().is_ok_and(|ns| ns > 0) && columns[2] == "ns",
            "{columns:?}"
        );
        assert_eq!(columns[5], calls_out, "calls out: {columns:?}");
        assert_eq!(columns[6], copies, "{columns:?}");
        assert!(columns[7].parse::<f64>().is_ok_and(|bytes| bytes >= 11.0));
        assert!(columns[8].parse::<u64>().is_ok_and(|kib| kib > 64), "{columns:?}");
    }
}

/// The same code takes the same number of instructions.
#[test]
fn instructions_are_counted_on_request() {
    let once = bench("", &["builtin:round-robin", "--fuel"]);
    let again = bench("", &["builtin:round-robin", "--fuel"]);
    let instructions = |exit| row(exit, "select-upstream").last().copied().map(str::to_owned);
    assert_eq!(instructions(&once), instructions(&again));
    assert!(
        instructions(&once).is_some_and(|text| text.parse::<u64>().is_ok_and(|count| count > 10)),
        "{once:#?}"
    );
    assert!(
        !bench("", &["builtin:round-robin"])
            .stdout
            .contains("instructions")
    );
}

#[test]
fn exceeded_budget_is_an_error() {
    let cases = |budget: &str| format!("wasm = 'builtin:rate-limiter'\n[budget]\n{budget}\n");
    let kept = bench(
        &cases("request_filter_ns = 1_000_000_000\nmemory_kb = 16384"),
        &["cases.toml"],
    );
    assert_eq!(kept.code, Some(0), "{kept:#?}");

    let exceeded = bench(&cases("request_filter_ns = 1\nmemory_kb = 1"), &["cases.toml"]);
    assert_eq!(exceeded.code, Some(1), "{exceeded:#?}");
    assert!(
        exceeded.stdout.contains("request-filter"),
        "the table is there: {exceeded:#?}"
    );
    for part in [
        "request-filter takes ",
        "more than the 1 ns of the budget in cases.toml",
        "request-filter has taken ",
        "more than the 1 KiB of the budget in cases.toml",
    ] {
        assert!(
            exceeded.stderr.contains(part),
            "{part:?} in:\n{}",
            exceeded.stderr
        );
    }

    let wrong = bench(&cases("request_filter_us = 1"), &["cases.toml"]);
    assert!(
        wrong.refusal().contains("did you mean `request_filter_ns`?"),
        "{wrong:#?}"
    );
}

/// Instructions are counted because the budget asks for it, and are the same on every machine.
#[test]
fn exceeded_budget_of_instructions_is_an_error() {
    let with = |allowed: u64| {
        let cases =
            format!("wasm = 'builtin:round-robin'\n[budget]\nselect_upstream_instructions = {allowed}\n");
        bench(&cases, &["cases.toml"])
    };
    let exceeded = with(1);
    assert_eq!(exceeded.code, Some(1), "{exceeded:#?}");
    let measured = row(&exceeded, "select-upstream").pop().map(str::to_owned);
    let measured = measured.expect("there is a column for them");
    assert_eq!(
        exceeded.stderr,
        format!(
            "pace: select-upstream takes {measured} instructions, more than the 1 of the budget in cases.toml\n"
        )
    );
    let measured: u64 = measured.parse().expect("it is a number");
    for (allowed, code) in [(measured, 0), (measured - 1, 1)] {
        assert_eq!(with(allowed).code, Some(code), "{allowed} allowed of {measured}");
    }
}

/// Each default plugin has a budget in its cases, for each of its hooks.
#[test]
fn default_plugins_keep_their_budgets() {
    for (cases, hooks) in [
        ("rate-limiter/tests/limits.toml", 1),
        ("round-robin/tests/turns.toml", 1),
        ("least-request/tests/choices.toml", 1),
        ("peak-ewma/tests/choices.toml", 1),
        ("consistent-hash/tests/keys.toml", 1),
        ("header-injection/tests/headers.toml", 2),
    ] {
        let file = root().join("plugins").join(cases);
        let exit = Setup::new()
            .args(["plugin", "bench", "--calls", "200", "--json"])
            .args([&file])
            .run();
        assert_eq!(exit.code, Some(0), "{exit:#?}");
        let budget: toml::Table = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("`pace plugin bench` has read it");
        let limited = budget["budget"].as_table().expect("it is a table").keys();
        assert_eq!(
            limited.filter(|key| key.ends_with("_instructions")).count(),
            hooks
        );
        let report: Value = serde_json::from_str(&exit.stdout).expect("it is JSON");
        let measured = report["hooks"].as_array().expect("one for each hook");
        assert_eq!(measured.len(), hooks, "{report}");
        assert!(
            measured.iter().all(|hook| hook["instructions"].is_u64()),
            "{report}"
        );
    }
}

#[test]
fn json_has_the_same_figures() {
    let exit = bench("", &["builtin:header-injection", "--json"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let report: Value = serde_json::from_str(&exit.stdout).expect("it is JSON");
    assert_eq!(report["plugin"], "builtin:header-injection");
    assert_eq!(report["calls"], 200);
    let hook = &report["hooks"][1];
    assert_eq!(hook["hook"], "response-filter");
    assert_eq!((&hook["calls_out"], &hook["copies"]), (&3.0.into(), &4.0.into()));
    for key in ["median_ns", "p99_ns", "memory_bytes"] {
        assert!(
            hook[key].as_u64().is_some_and(|number| number > 0),
            "{key} in {report}"
        );
    }
    assert!(
        hook["instructions"].is_null(),
        "nobody has asked for them: {report}"
    );
}

/// The file of cases provides the plugin's input: its configuration and the request.
#[test]
fn defaults_of_the_cases_are_measured() {
    let wasm = format!("wasm = {:?}\n", fixture("respond"));
    let default = bench(&wasm, &["cases.toml"]);
    assert!(default.refusal().contains("there is no [[case]]"), "{default:#?}");

    let with = |request: &str| {
        bench(
            &format!("{wasm}[budget]\n[defaults]\n{request}\n"),
            &["cases.toml"],
        )
    };
    let bytes = |exit: &Exit| {
        row(exit, "request-filter")[7]
            .parse::<f64>()
            .expect("it is a number")
    };
    // The answer has a body, which is copied.
    let answered = with("request.path = '/respond'");
    assert!(bytes(&answered) > bytes(&with("request.path = '/'")) + 16.0);

    let refused = bench("", &[&fixture("refuses-config").to_string_lossy()]);
    let message = refused.refusal();
    assert!(message.contains("colour: must be `green`"), "{message}");
    assert!(message.contains("[defaults.config]"), "{message}");
}

/// With an instance for each call there is nothing to measure between calls.
#[test]
fn isolated_instances_can_be_measured() {
    let cases = "wasm = 'builtin:round-robin'\n[budget]\nmemory_kb = 1\n[defaults]\nisolation = 'request'\n";
    let exit = bench(cases, &["cases.toml"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let columns = row(&exit, "select-upstream");
    assert_eq!((columns[5], columns[8]), ("-", "-"), "{columns:?}");
}

#[test]
fn failing_hook_is_not_measured() {
    let cases = format!(
        "wasm = {:?}\n[budget]\n[defaults]\nrequest.path = '/misbehave'\n",
        fixture("trap")
    );
    let exit = bench(&cases, &["cases.toml"]);
    assert!(
        exit.refusal().contains("request-filter failed: trap"),
        "{exit:#?}"
    );
}
