//! Valid responses, each with the request that it answers.

use super::super::dice::Dice;
use super::super::draft::Draft;

/// A request, and its backend's response.
pub(crate) struct Exchange {
    /// The request as the client writes it.
    pub(crate) request: Vec<u8>,
    /// How many bytes of the request the client holds back until it is answered: the backend answers early.
    pub(crate) held_back: usize,
    /// Whole responses that precede the mutated one.
    pub(crate) before: Vec<u8>,
    pub(crate) response: Draft,
}

/// The exchange of a case.
pub(crate) fn exchange(case: usize, dice: &mut Dice) -> Exchange {
    let method = dice.pick(&["GET", "GET", "GET", "POST", "HEAD"]);
    let upgrade = method == "GET" && dice.one_in(6);
    let protocol = upgrade.then(|| dice.pick(&["websocket", "chat"]));
    let body = format!("[{case} the body of it]");
    let inner = format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Token: {case}.inner\r\n\r\nsmuggle");
    let ok = || start(case, "HTTP/1.1", "200", "OK");
    let (before, response) = match dice.below(20) {
        0 => ("", ok().chunked(&[(&body, ""), ("second", "")], &[])),
        1 => (
            "",
            ok().chunked(&[(&body, ";a=b"), ("2nd", ";q=\"x;\\\" y\"")], &[("X-Sum", "1")]),
        ),
        2 => ("", ok().chunked(&[(&inner, "")], &[])),
        3 => ("", ok().sized(&inner)),
        4 => ("", ok().bare(&body)),
        5 => ("", start(case, "HTTP/1.0", "200", "OK").bare(&body)),
        6 => (
            "",
            start(case, "HTTP/1.0", "200", "OK")
                .field("Connection", "keep-alive")
                .sized(&body),
        ),
        7 => ("", start(case, "HTTP/1.1", "204", "No Content")),
        8 => (
            "",
            start(case, "HTTP/1.1", "304", "Not Modified")
                .field("ETag", "\"v1\"")
                .field("Content-Length", "25"),
        ),
        9 => ("HTTP/1.1 100 Continue\r\n\r\n", ok().sized(&body)),
        10 => (
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
            ok().chunked(&[(&body, "")], &[]),
        ),
        11 => ("", ok().field("Connection", "close").sized(&body)),
        12 => (
            "",
            ok().field("Connection", "x-hop")
                .field("X-Hop", "1")
                .field("Keep-Alive", "timeout=5")
                .sized(&body),
        ),
        13 => ("", start(case, "HTTP/1.1", "404", "Not Found").chunked(&[], &[])),
        14 => ("", start(case, "HTTP/1.1", "500", "").sized(&body)),
        15 => (
            "",
            ok().sized(&format!(
                "{case} {}",
                "a large body ".repeat(dice.within(1..8000))
            )),
        ),
        16 => (
            "",
            ok().chunked(&vec![(body.as_str(), ""); dice.within(2..60)], &[]),
        ),
        17 => (
            "",
            ok().chunked(&[(&"a large chunk ".repeat(dice.within(1..8000)), "")], &[]),
        ),
        18 => (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
            ok().bare(&body),
        ),
        _ => ("", ok().sized(&body)),
    };
    let response = match protocol.filter(|_| dice.one_in(2)) {
        Some(protocol) => start(case, "HTTP/1.1", "101", "Switching Protocols")
            .field("Connection", "upgrade")
            .field("Upgrade", protocol),
        None if method == "HEAD" => response.bare(""),
        None => response,
    };
    let request = ask(case, method, protocol, dice);
    let early = method == "POST" && dice.one_in(3);
    Exchange {
        held_back: if early { dice.within(1..6) } else { 0 },
        request,
        before: before.as_bytes().to_vec(),
        response,
    }
}

fn ask(case: usize, method: &str, protocol: Option<&str>, dice: &mut Dice) -> Vec<u8> {
    let version = match protocol {
        None if dice.one_in(8) => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let draft = Draft::new(method, &format!("/{case}/answer"), version).field("Host", "a.test");
    let draft = match protocol {
        Some(protocol) => draft.field("Connection", "upgrade").field("Upgrade", protocol),
        None if version == "HTTP/1.0" && dice.one_in(2) => draft.field("Connection", "keep-alive"),
        None => draft,
    };
    match method {
        "POST" if version == "HTTP/1.1" && dice.one_in(2) => {
            draft.chunked(&[("a ", ""), ("body", "")], &[]).write()
        }
        "POST" => draft.sized("a body").write(),
        _ => draft.write(),
    }
}

fn start(case: usize, version: &str, status: &str, reason: &str) -> Draft {
    Draft::new(version, status, reason)
        .field("X-Token", &case.to_string())
        .field("Set-Cookie", "a=1")
        .field("Set-Cookie", "b=2")
}
