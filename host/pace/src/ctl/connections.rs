//! `pace ctl connections`: tables of connections.

use serde_json::Value;

use super::client::{Client, Failed};
use super::list;
use super::table::{Table, field};

/// The connections of clients, and below them those to backends.
pub(super) fn show(client: &Client) -> Result<String, Failed> {
    let connections = client.json("/connections")?;
    Ok(format!(
        "{}\n{}",
        clients(&connections["listeners"]),
        backends(&connections["pools"])
    ))
}

fn clients(listeners: &Value) -> Table {
    let mut table = Table::new(&[
        "LISTENER", "PROTOCOL", "OPEN", "ACTIVE", "IDLE", "REQUESTS", "UPGRADED",
    ]);
    for listener in list(listeners) {
        let name = match listener["configured"].as_bool() {
            Some(false) => format!("{} (closed)", field(listener, "listener")),
            _ => field(listener, "listener"),
        };
        for (protocol, key) in [("HTTP/1", "http1"), ("HTTP/2", "http2")] {
            let counts = &listener[key];
            table.row([
                name.clone(),
                protocol.to_owned(),
                field(counts, "open"),
                field(counts, "active"),
                field(counts, "idle"),
                field(counts, "requests"),
                match key {
                    "http1" => field(listener, "upgraded"),
                    _ => "-".to_owned(),
                },
            ]);
        }
        if listener["beginning"].as_u64().is_some_and(|count| count > 0) {
            let mut row = vec![name, "beginning".to_owned(), field(listener, "beginning")];
            row.resize(7, "-".to_owned());
            table.row(row);
        }
    }
    table
}

fn backends(pools: &Value) -> Table {
    let mut table = Table::new(&["POOL", "BACKEND", "IN USE", "IDLE", "SESSIONS", "STREAMS"]);
    for pool in list(pools) {
        for backend in list(&pool["backends"]) {
            table.row([
                field(pool, "pool"),
                field(backend, "backend"),
                field(backend, "in_use"),
                field(backend, "idle"),
                field(backend, "sessions"),
                field(backend, "streams"),
            ]);
        }
    }
    table
}
