//! Valid requests.

use super::super::dice::Dice;
use super::super::draft::{Draft, TARGET};

/// The request `number` of a case. Its name is in the target, the host, a field and the body, so that a piece
/// of it is recognised wherever it turns up.
pub(crate) fn request(case: usize, number: usize, dice: &mut Dice) -> Draft {
    let name = format!("{case}.{number}");
    let about = |method: &str, version: &str| start(method, version, &name);
    let body = format!("[{name} the body of it]");
    match dice.below(32) {
        0 => about("POST", "HTTP/1.1").sized(&body),
        1 => about("POST", "HTTP/1.1").sized(&format!(
            "{body}{}",
            usual_request(&format!("{name}.inner"), "POST")
        )),
        2 => about("PUT", "HTTP/1.1").chunked(&[(&body, ""), ("second", "")], &[]),
        3 => about("POST", "HTTP/1.1").chunked(
            &[(&body, ";a=b;c"), ("2nd", ";q=\"x;\\\" y\"")],
            &[("X-Sum", &name)],
        ),
        4 => about("POST", "HTTP/1.1").chunked(&[(&usual_request(&format!("{name}.inner"), "GET"), "")], &[]),
        5 => about("POST", "HTTP/1.1").chunked(&[], &[]),
        6 => about("POST", "HTTP/1.1")
            .field("Expect", "100-continue")
            .sized(&body),
        7 => about("POST", "HTTP/1.1")
            .field("Expect", "100-continue")
            .chunked(&[(&body, "")], &[]),
        8 => about("GET", "HTTP/1.0"),
        9 => about("POST", "HTTP/1.0")
            .field("Connection", "keep-alive")
            .sized(&body),
        10 => about("GET", "HTTP/1.1")
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket"),
        11 => about("GET", "HTTP/1.1")
            .field("Connection", "keep-alive, upgrade")
            .field("Upgrade", "chat/2, tcp"),
        12 => absolute(about("GET", "HTTP/1.1"), &name),
        13 => absolute(about("POST", "HTTP/1.1").sized(&body), &name),
        14 => asterisk(about("OPTIONS", "HTTP/1.1")),
        15 => about("HEAD", "HTTP/1.1"),
        16 => (0..dice.within(20..90)).fold(about("GET", "HTTP/1.1"), |draft, field| {
            draft.field(&format!("X-Many-{field}"), &name)
        }),
        17 => about("GET", "HTTP/1.1")
            .field("Connection", "x-hop, keep-alive")
            .field("X-Hop", &name),
        18 => about("POST", "HTTP/1.1")
            .field("Connection", "X-Hop")
            .field("X-Hop", &name)
            .sized(&body),
        19 => about("GET", "HTTP/1.1").field("Connection", "close"),
        20 => about("DELETE", "HTTP/1.1")
            .field("TE", "trailers")
            .field("Connection", "TE"),
        21 => about("GET", "HTTP/1.1").sized(&body),
        22 => about("POST", "HTTP/1.1").sized(""),
        23 => without_host(about("GET", "HTTP/1.0")),
        24 => about("POST", "HTTP/1.1").sized(&format!(
            "{name} {}",
            "a large body ".repeat(dice.within(1..8000))
        )),
        25 => about("POST", "HTTP/1.1").chunked(&vec![(body.as_str(), ""); dice.within(2..60)], &[]),
        26 => about("PUT", "HTTP/1.1").chunked(&[(&"a large chunk ".repeat(dice.within(1..8000)), "")], &[]),
        27 => about("GET", "HTTP/1.1")
            .field("Connection", "keep-alive")
            .field("Connection", "X-Hop")
            .field("X-Hop", &name)
            .field("Cookie", &name),
        28 => about("POST", "HTTP/1.1")
            .field("Trailer", "X-Sum, X-Other")
            .field("TE", "trailers")
            .field("Connection", "TE")
            .chunked(&[(&body, "")], &[("X-Sum", &name), ("X-Other", "1")]),
        29 => about("OPTIONS", "HTTP/1.1"),
        _ => about("GET", "HTTP/1.1"),
    }
}

/// A request without anything for a proxy to object to.
pub(crate) fn usual_request(name: &str, method: &str) -> String {
    let draft = start(method, "HTTP/1.1", name);
    let draft = match method {
        "GET" => draft,
        _ => draft.sized(&format!("[{name}]")),
    };
    String::from_utf8(draft.write()).expect("it was made of text")
}

fn start(method: &str, version: &str, name: &str) -> Draft {
    let draft = Draft::new(method, &format!("/{name}/path?q={name}"), version)
        .field("Host", &format!("{name}.test"))
        .field("X-Id", name)
        .field("X-Forwarded-For", "192.0.2.1");
    draft.field("Accept", "*/*, text/plain;q=0.5")
}

fn without_host(mut draft: Draft) -> Draft {
    draft.fields.retain(|field| !field.is("host"));
    draft
}

fn absolute(mut draft: Draft, name: &str) -> Draft {
    let target = format!("http://{name}.test/{name}/path?q={name}");
    draft.line[TARGET] = target.into_bytes();
    draft
}

fn asterisk(mut draft: Draft) -> Draft {
    draft.line[TARGET] = b"*".to_vec();
    draft
}
