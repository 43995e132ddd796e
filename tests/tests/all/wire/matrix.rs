//! Every kind of request with every kind of backend: the client's response, the request at the backend, and
//! the fate of the client's connection. The table is in `matrix.txt`; `PACE_WRITE_MATRIX=PATH` writes it
//! anew, to be read before it is accepted.

use std::fmt::Write;
use std::fs;
use std::io;
use std::sync::Arc;

use pace_tests::{Client, Line, Pace, Request, Scripted, wait_until};
use parking_lot::Mutex;

use crate::sections::EVERYTHING;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
const VERSIONS: [&str; 2] = ["1.0", "1.1"];

/// How a request's body is sent.
const BODIES: [(&str, &str, &str); 4] = [
    ("no body", "", ""),
    ("length", "Content-Length: 5\r\n", "hello"),
    (
        "chunked",
        "Transfer-Encoding: chunked\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
    ),
    ("expect", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
];

/// The ways in which a backend treats a request.
const OUTCOMES: [(&str, &str); 11] = [
    ("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (
        "chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("until-close", "HTTP/1.1 200 OK\r\n\r\nok"),
    ("of-1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
    (
        "interim",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "early",
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    ),
    ("garbage", "garbage\r\n\r\n"),
    ("closed", ""),
    ("cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
];

/// The heads of the requests that a backend has received, in lower case.
type Heads = Arc<Mutex<Vec<String>>>;

/// A backend whose answer is chosen by the path.
fn backend(heads: &Heads) -> Scripted {
    let seen = Arc::clone(heads);
    Scripted::new(move |line| {
        while let Some(head) = line.head()? {
            if head.contains(" /again ") {
                // The connection is closed so that each exchange begins with a new one.
                return line.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            }
            seen.lock().push(head.to_ascii_lowercase());
            let outcome = OUTCOMES
                .iter()
                .find(|(name, _)| head.contains(&format!(" /{name} ")));
            let (name, answer) = outcome.ok_or(io::ErrorKind::InvalidData)?;
            if *name != "early" {
                read_body(line, &head.to_ascii_lowercase())?;
            }
            let is_head = head.starts_with("HEAD ");
            let answer = match is_head {
                true => without_body(answer),
                false => answer,
            };
            line.write(answer)?;
            match *name {
                // The answer is whole, so Pace keeps the connection, and what it sends next must not meet its end.
                "until-close" | "cut" if is_head => {}
                "until-close" | "closed" | "cut" | "of-1.0" | "garbage" => return Ok(()),
                // The rest of the request stays unread.
                "early" => return line.end(),
                _ => {}
            }
        }
        Ok(())
    })
}

fn read_body(line: &mut Line, head: &str) -> io::Result<()> {
    if head.contains("\r\nexpect: ") {
        line.write("HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if head.contains("\r\ncontent-length: 5") {
        line.bytes(5)?;
    } else if head.contains("\r\ntransfer-encoding: chunked") {
        line.head()?;
    }
    Ok(())
}

/// The heads of an answer.
fn without_body(answer: &'static str) -> &'static str {
    let end = answer.rfind("\r\n\r\n").map_or(0, |at| at + 4);
    let heads = &answer[..end];
    match heads.strip_suffix("2\r\nok\r\n0\r\n\r\n") {
        Some(head) => head,
        None => heads,
    }
}

/// The result of one exchange: what the client received, and what the backend received, if anything.
fn exchange(pace: &Pace, heads: &Heads, method: &str, (head, body): (&str, &str)) -> String {
    heads.lock().clear();
    let mut client = pace.client();
    client.write(head);
    if head.contains("Expect") {
        wait_until("an answer to the expectation", || client.has_received());
    }
    if !head.contains("Expect") || client.received().starts_with(b"HTTP/1.1 100") {
        client.write(body);
    }
    let mut cell = String::new();
    let read = client.read(method);
    let connections = client.connections();
    match read {
        Ok(response) => {
            let interim: String = response
                .interim
                .iter()
                .map(|status| format!("{status}, "))
                .collect();
            let framing = match (
                response.header("content-length"),
                response.header("transfer-encoding"),
            ) {
                (Some(length), None) => format!("length {length}"),
                (None, Some(coding)) => coding.to_owned(),
                (None, None) => "until the end".to_owned(),
                (Some(_), Some(_)) => "both".to_owned(),
            };
            let kept = match response.last {
                true => "closed",
                false if again(&mut client) && client.connections() == connections => "kept",
                false => "closed without a word",
            };
            let _ = write!(cell, "{interim}{} {framing}, {kept}", response.status);
        }
        Err(_) => cell.push_str("cut"),
    }
    let heads = heads.lock();
    let _ = write!(cell, " | sent {} times", heads.len());
    if let Some(head) = heads.first() {
        for field in ["content-length", "transfer-encoding", "expect"] {
            if head.contains(&format!("\r\n{field}:")) {
                let _ = write!(cell, " {field}");
            }
        }
    }
    cell
}

fn again(client: &mut Client) -> bool {
    client
        .try_send(&Request::get("/again"))
        .is_ok_and(|response| response.status == 200)
}

fn table() -> String {
    let mut table = String::new();
    for (outcome, _) in OUTCOMES {
        let heads = Heads::default();
        let backends = [backend(&heads), backend(&heads)];
        let pace = Pace::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n[[pools]]\nname = \"web\"\nbackends = {:?}\n\
             retry = {{ attempts = 2, budget_percent = 100 }}\n\n{EVERYTHING}",
            backends.each_ref().map(Scripted::label)
        ));
        for method in METHODS {
            for version in VERSIONS {
                for (name, fields, body) in BODIES {
                    if version == "1.0" && matches!(name, "chunked" | "expect") {
                        continue;
                    }
                    let head = format!("{method} /{outcome} HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
                    let cell = exchange(&pace, &heads, method, (&head, body));
                    let _ = writeln!(table, "{outcome:<12}{method:<8}{version:<5}{name:<8} -> {cell}");
                }
            }
        }
    }
    table
}

#[test]
fn exchange_of_every_kind_is_as_recorded() {
    let found = table();
    if let Some(path) = std::env::var_os("PACE_WRITE_MATRIX") {
        fs::write(path, found).expect("the table can be written");
        return;
    }
    let recorded = include_str!("matrix.txt");
    let differences: Vec<_> = found
        .lines()
        .zip(recorded.lines())
        .filter(|(found, recorded)| found != recorded)
        .map(|(found, recorded)| format!("recorded {recorded}\n   found {found}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(found.lines().count(), recorded.lines().count());
}
