//! How many connections there are, as the admin listener shows it.

use pace_tests::{Gate, Http2, Http2Backend, HttpBackend, Pace, Request, Scripted, Setup, wait_until};
use serde_json::{Value, json};

use crate::sections::{EVERYTHING, ONE_WORKER, plain};
use crate::swapping::reconfigure;

fn connections(pace: &Pace) -> Value {
    let response = pace.admin().get("/connections");
    serde_json::from_slice(&response.body).expect("it is JSON")
}

/// Waits until the first listener and the first backend of the first pool have these numbers. Others are not looked at.
fn wait_for(pace: &Pace, listener: &Value, backend: &Value) {
    wait_until(
        &format!("{listener} and {backend} in {}", connections(pace)),
        || {
            let shown = connections(pace);
            has(&shown["listeners"][0], listener) && has(&shown["pools"][0]["backends"][0], backend)
        },
    );
}

/// Whether each number of `expected` is that of the same place in `shown`.
fn has(shown: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(numbers) => numbers.iter().all(|(name, number)| has(&shown[name], number)),
        number => shown == number,
    }
}

#[test]
fn idle_and_active_connections_of_clients_are_told_apart() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();
    client.connect().expect("Pace listens");
    wait_for(
        &pace,
        &json!({ "open": 1, "http1": { "open": 1, "active": 0, "idle": 1, "requests": 0 } }),
        &json!({ "in_use": 0, "idle": 0 }),
    );
    client.transmit(&Request::get("/")).expect("it is open");
    wait_for(
        &pace,
        &json!({ "open": 1, "http1": { "open": 1, "active": 1, "idle": 0, "requests": 1 } }),
        &json!({ "in_use": 1, "idle": 0 }),
    );
    gate.open();
    assert_eq!(client.read("GET").expect("there is an answer").status, 200);
    wait_for(
        &pace,
        &json!({ "open": 1, "http1": { "open": 1, "active": 0, "idle": 1, "requests": 0 } }),
        &json!({ "in_use": 0, "idle": 1 }),
    );
    drop(client);
    wait_for(
        &pace,
        &json!({ "open": 0, "beginning": 0, "http1": { "open": 0, "active": 0, "idle": 0 } }),
        &json!({ "in_use": 0, "idle": 1 }),
    );
}

#[test]
fn streams_are_counted_on_both_sides() {
    let gate = Gate::new();
    let behind = gate.clone();
    let backend = Http2Backend::new(move |call| {
        behind.wait();
        call.answer("done")
    });
    let text = format!(
        "{ONE_WORKER}\n[[pools]]\nname = 'web'\nbackends = [{:?}]\nprotocol = 'h2'\n[[routes]]\npool = 'web'\n",
        backend.url()
    );
    let pace = Pace::with_config(&text);
    let mut client = Http2::connect(pace.address());
    let streams: Vec<_> = (0..2)
        .map(|_| client.open(&Request::get("/"), true).expect("it is open"))
        .collect();
    wait_for(
        &pace,
        &json!({ "http1": { "open": 0 }, "http2": { "open": 1, "active": 1, "idle": 0, "requests": 2 } }),
        &json!({ "streams": 2, "in_use": 0, "idle": 0 }),
    );
    gate.open();
    for stream in streams {
        assert_eq!(stream.response().expect("there is an answer").text(), "done");
    }
    wait_for(
        &pace,
        &json!({ "http1": { "open": 0 }, "http2": { "open": 1, "active": 0, "idle": 1, "requests": 0 } }),
        &json!({ "streams": 0, "in_use": 0, "idle": 0 }),
    );
    assert!(connections(&pace)["pools"][0]["backends"][0]["sessions"].as_u64() >= Some(1));
}

#[test]
fn upgraded_connection_is_one_in_use_on_both_sides() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
        line.end()
    });
    let text = format!(
        "{ONE_WORKER}\n[[pools]]\nname = 'web'\nbackends = [{:?}]\n{EVERYTHING}",
        backend.label()
    );
    let pace = Pace::with_config(&text);
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    wait_for(
        &pace,
        &json!({ "open": 1, "upgraded": 1, "http1": { "active": 1 } }),
        &json!({ "in_use": 1 }),
    );
    assert_eq!(pace.metrics().sum("pace_connections_upgraded", &[]), 1);
    drop(client);
    wait_for(
        &pace,
        &json!({ "open": 0, "upgraded": 0, "http1": { "active": 0 } }),
        &json!({ "in_use": 0 }),
    );
}

#[test]
fn listener_that_was_removed_is_shown_as_long_as_it_has_clients() {
    let backend = HttpBackend::named("one");
    let text = plain(&[&backend]).replace("listen = \"127.0.0.1:0\"\nworkers", "workers")
        + "[[listeners]]\nlisten = 'localhost:0'\n[[listeners]]\nlisten = '127.0.0.1:0'\n";
    let pace = Pace::with_config(&text);
    let mut client = pace.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(connections(&pace)["listeners"].as_array().map(Vec::len), Some(2));
    let (status, _) = reconfigure(&pace, |text| {
        text.replace("[[listeners]]\nlisten = 'localhost:0'\n", "")
    });
    assert_eq!(status, 200);
    let shown = connections(&pace);
    let removed = &shown["listeners"][1];
    assert_eq!(
        (&removed["listener"], &removed["configured"], &removed["open"]),
        (&json!("localhost:0"), &json!(false), &json!(1)),
        "{shown}"
    );
    let table = Setup::new()
        .args(["ctl", "--admin", &pace.admin_address().to_string(), "connections"])
        .run();
    assert!(
        table.stdout.contains("localhost:0 (closed)  HTTP/1    1"),
        "{table:#?}"
    );
    assert!(
        table.stdout.contains(&format!("web   {}", backend.label())),
        "{table:#?}"
    );
    drop(client);
    wait_until("the listener to be forgotten", || {
        connections(&pace)["listeners"].as_array().map(Vec::len) == Some(1)
    });
}
