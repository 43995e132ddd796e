//! Budgets and tables of plugins: what one request does with them, what it leaves, and what ends with it.

use pace_tests::{Gate, HttpBackend, Pace, Request, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};
use crate::swapping::reconfigure;

fn start(limits: &str, backend: &HttpBackend) -> Pace {
    Pace::with_config(&format!(
        "{ONE_WORKER}{}limits = {{ time_ms = 1000, {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"state\"]\n",
        plugin("state", &fixture("state-keeper")),
        pool("web", &[backend]),
    ))
}

/// The results of these orders in one request.
fn results(pace: &Pace, orders: &[&str]) -> Vec<String> {
    let request = Request::get("/state");
    let request = orders
        .iter()
        .fold(request, |request, order| request.header("x-do", order.as_bytes()));
    let response = pace.client().send(&request);
    assert_eq!(response.status, 200, "{response:?}");
    response.text().lines().map(str::to_owned).collect()
}

#[test]
fn amounts_are_taken_reserved_settled_and_refunded() {
    let backend = HttpBackend::named("one");
    let pace = start("", &backend);
    assert_eq!(
        results(
            &pace,
            &[
                "take a 0",
                "take a 4",
                "take a 7",
                "take a 11",
                "refund a 3",
                "refund a 9"
            ]
        ),
        ["0 for false", "4 for true", "wait", "Never", "3", "1"]
    );
    assert_eq!(
        results(
            &pace,
            &[
                "reserve a 6",
                "settle b 1",
                "settle a 2",
                "settle a 2",
                "take a 0"
            ]
        ),
        ["6 for true", "None", "Some(2)", "None", "2 for true"]
    );
    // What a request reserves and does not settle stays charged, and nobody else can settle it.
    assert_eq!(results(&pace, &["reserve a 5"]), ["7 for true"]);
    assert_eq!(
        results(&pace, &["settle a 0", "take a 0"]),
        ["None", "7 for true"]
    );
    let many: Vec<String> = (0..17).map(|number| format!("reserve many.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(results(&pace, &many).last().map(String::as_str), Some("TooMany"));
    // More than was reserved counts beyond the limit.
    assert_eq!(
        results(&pace, &["reserve dear 1", "settle dear 14", "take dear 1"]),
        ["1 for true", "Some(14)", "wait"]
    );
}

#[test]
fn values_are_kept_over_a_swap_until_their_time() {
    let backend = HttpBackend::named("one");
    let pace = start("handles = 99", &backend);
    assert_eq!(
        results(
            &pace,
            &[
                "get k",
                "set k one",
                "add k two",
                "add l two",
                "swap k one three",
                "swap k one four"
            ]
        ),
        [
            "None",
            "Ok(())",
            "Ok(Some(\"one\"))",
            "Ok(None)",
            "Ok(Done)",
            "Ok(Other(Some([116, 104, 114, 101, 101])))"
        ]
    );
    let (status, answer) = reconfigure(&pace, |text| text.replace("handles = 99", "handles = 98"));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(pace.generation("state"), 2);
    assert_eq!(
        results(
            &pace,
            &["get k", "remove k", "remove k", "get k", "set short x 1"]
        ),
        ["Some(\"three\")", "true", "false", "None", "Ok(())"]
    );
    wait_until("a value whose time is over to be gone", || {
        results(&pace, &["get short"]) == ["None"]
    });
}

#[test]
fn values_out_of_bounds_are_refused_and_memory_is_bounded() {
    let backend = HttpBackend::named("one");
    let pace = start("value_kb = 1, state_mb = 1", &backend);
    let large = format!("set k {}", "x".repeat(1025));
    assert_eq!(
        results(&pace, &[&large, "set k x 0", "set k x 2592000001", "claim k 0"]),
        [
            "Err(TooLarge)",
            "Err(InvalidArgument)",
            "Err(InvalidArgument)",
            "Err(InvalidArgument)"
        ]
    );
    let pace = start("state_mb = 1, memory_mb = 64", &backend);
    for _ in 0..10 {
        assert_eq!(results(&pace, &["fill x 60000"]), ["50"]);
        let bytes = pace
            .metrics()
            .sum("pace_plugin_state_bytes", &[("plugin", "state")]);
        assert!(bytes <= 1 << 20, "{bytes}");
    }
    let forgotten = pace
        .metrics()
        .sum("pace_plugin_state_forgotten_total", &[("plugin", "state")]);
    assert!(forgotten > 480, "{forgotten}");
}

/// The request that has the claim waits at its backend, answers, fails, or loses its plugin.
#[test]
fn claim_ends_with_its_request_whatever_becomes_of_it() {
    let backend = HttpBackend::named("one");
    let pace = start("", &backend);
    assert_eq!(
        results(&pace, &["claim k", "claim k"]),
        ["Ok(Yours)", "Ok(Yours)"]
    );
    assert_eq!(results(&pace, &["claim k"]), ["Ok(Yours)"], "the first is over");
    let claiming = |path: &str| Request::get(path).header("x-do", "claim k");
    for (path, status) in [("/", 200), ("/trap", 503)] {
        assert_eq!(pace.client().send(&claiming(path)).status, status);
        assert_eq!(results(&pace, &["claim k"]), ["Ok(Yours)"], "after {path}");
    }
    let eight: Vec<String> = (0..9).map(|number| format!("claim many.{number}")).collect();
    let eight: Vec<&str> = eight.iter().map(String::as_str).collect();
    assert_eq!(results(&pace, &eight)[7..], ["Ok(Yours)", "Err(TooMany)"]);
    assert_eq!(
        results(&pace, &["claim k", "set k made", "claim k"]),
        ["Ok(Yours)", "Ok(())", "Ok(Value([109, 97, 100, 101]))"]
    );
}

#[test]
fn claim_is_one_requests_while_that_waits_for_its_backend() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let pace = start("", &backend);
    let mut client = pace.client();
    let request = Request::get("/").header("x-do", "claim k");
    client.transmit(&request).expect("Pace is there");
    wait_until("the request is at the backend", || backend.requests().len() == 1);
    assert_eq!(results(&pace, &["claim k"]), ["Ok(Others)"]);
    gate.open();
    assert_eq!(client.read("GET").expect("it is answered").status, 200);
    wait_until("the claim is over", || {
        results(&pace, &["claim k"]) == ["Ok(Yours)"]
    });
}

#[test]
fn random_numbers_differ_from_call_to_call() {
    let backend = HttpBackend::named("one");
    let pace = start("", &backend);
    let mut seen: Vec<String> = (0..20)
        .flat_map(|_| results(&pace, &["random", "random"]))
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[test]
fn limits_of_tables_and_of_their_handles_hold() {
    let backend = HttpBackend::named("one");
    let config = |limits: &str| {
        format!(
            "{ONE_WORKER}{}limits = {{ {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"hoard\"]\n",
            plugin("hoard", &fixture("table-hoard")),
            pool("web", &[&backend]),
        )
    };
    for (limits, tables, handles) in [("tables = 3", "3", "1021"), ("handles = 7", "7", "0")] {
        let response = Pace::with_config(&config(limits)).get("/");
        assert_eq!(
            (response.header("x-tables"), response.header("x-handles")),
            (Some(tables), Some(handles)),
            "{limits}"
        );
    }
}
