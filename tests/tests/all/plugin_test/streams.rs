//! Cases with bodies that come in pieces.

use super::{failing, run_fixture};

#[test]
fn body_passes_stream_filters_in_the_pieces_in_which_it_arrives() {
    let cases = r#"
[defaults]
limits = { unit_kb = 1, time_ms = 1000 }

[[case]]
name = "a request"
config = { of = "request", framing = "line" }
request = { pieces = ["one\ntw", "o\ndrop\n", "three"], headers = { content-length = "17", digest = "x" } }
expect.request.pieces = ["one(1)\n", "two(2)\n", "", "three(4)\ncomplete after 4\n"]
expect.request.body = "one(1)\ntwo(2)\nthree(4)\ncomplete after 4\n"
expect.request.ends = "complete"
expect.request.absent = ["content-length", "digest"]
expect.log = ["info: complete after 4"]

[[case]]
name = "a response"
config = { of = "response", framing = "event" }
response.pieces = ["data: one\n", "\ndata: two\n\n"]
expect.response.pieces = ["", "data: one(1)\n\ndata: two(2)\n\n", "data: complete after 2\n\n"]

[[case]]
name = "one that the filter looks at"
config = { of = "response", framing = "line", look = true }
response.pieces = ["one\nt", "wo"]
expect.response = { unchanged = true, pieces = ["one\n", "", "two"] }

[[case]]
name = "one in which the filter looks for something"
config = { of = "response", framing = "chunk", interest = ["needle"] }
response.pieces = ["hay", "nee", "dle"]
expect.response.pieces = ["hay", "", "needle(1)", "complete after 1"]

[[case]]
name = "the rest passes"
config = { of = "response", framing = "line" }
response.pieces = ["finish\none\n", "two"]
expect.response.pieces = ["finish\none\n", "two", "\ncomplete after 1\n"]

[[case]]
name = "the filter ends it"
config = { of = "response", framing = "line" }
response.pieces = ["stop\none\n", "two"]
expect.response.pieces = ["stop\ncomplete after 1\n", "", ""]

[[case]]
name = "the filter cuts it"
config = { of = "response", framing = "line" }
response.pieces = ["one\ncut\n", "two"]
expect.response = { status = 200, pieces = ["one(1)\n", "", ""], ends = "cut" }
expect.log = ["info: cut after 2", "info: refused: NotAvailable"]

[[case]]
name = "the filter cuts it before anything is sent"
config = { of = "response", framing = "line" }
response.pieces = ["cut\n"]
expect.response = { status = 502, ends = "cut" }

[[case]]
name = "the filter cuts it after Pace has waited"
config = { of = "response", framing = "line" }
response.pieces = ["c", "ut\n"]
expect.response = { status = 200, ends = "cut", pieces = ["", "", ""] }

[[case]]
name = "the filter ends it before the backend does"
config = { of = "response", framing = "line" }
response = { pieces = ["stop\n", "rest"], ends = "backend-failed" }
expect.response = { pieces = ["stop\ncomplete after 1\n", "", ""], ends = "complete" }

[[case]]
name = "the filter cuts the request"
config = { of = "request", framing = "line" }
request.pieces = ["cut\n"]
expect = { response.status = 503, request.ends = "cut", attempts = [{}] }

[[case]]
name = "the backend breaks it off"
config = { of = "response", framing = "line" }
response = { pieces = ["one\ntwo"], ends = "backend-failed" }
expect.response = { pieces = ["one(1)\n", ""], ends = "backend-failed" }

[[case]]
name = "the client goes"
config = { of = "request", framing = "line" }
request = { pieces = ["one\n"], ends = "client-gone" }
expect = { verdict = "next", request.ends = "client-gone" }

[[case]]
name = "further attempts send what was made"
config = { of = "request", framing = "line" }
request.body = "one"
attempts = ["closed", {}]
expect.log = ["info: complete after 1"]
expect.attempts = [{ request.body = "one(1)\ncomplete after 1\n" }, { request.body = "one(1)\ncomplete after 1\n" }]

[[case]]
name = "there is none to pass"
config = { of = "request", framing = "line" }
expect = { log = [], request.pieces = [""] }

[[case]]
name = "the filter fails"
config = { of = "response", framing = "line" }
response.body = "panic\n"
expect.failure = "trap"

[[case]]
name = "a line is too long"
config = { of = "response", framing = "line" }
response.body = "LONG"
expect.failure = { reason = "unit-too-large", message = "a line is longer than `limits.unit_kb`" }

[[case]]
name = "a part is not shown"
config = { of = "response", framing = "line" }
response = { status = 206, body = "part" }
expect.failure = "body-partial"
"#;
    let exit = run_fixture("stream-words", &cases.replace("LONG", &"x".repeat(1025)));
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);

    let exit = run_fixture(
        "stream-words",
        "[[case]]\nname = 'x'\nconfig = { of = 'response', framing = 'chunk' }\nresponse.pieces = ['a', 'b']\n\
         expect.response = { pieces = ['a', 'b'], ends = 'cut' }\n",
    );
    let shown = failing(&exit);
    for part in [
        "response.pieces",
        "\"a(1)\", \"b(2)\", \"complete after 2\"",
        "found     complete",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
}
