//! Text from plugins' files, clients and backends is shown so that it cannot pass for anything else.

use std::fs;

use pace_tests::{
    Answer, Client, Exit, HttpBackend, Pace, Request, Setup, text_fixture, text_module, text_plugin,
    wait_until,
};

use crate::sections::{SERVER, plain, plugin, pool};
use crate::swapping::directory;

/// The beginning of a line that Pace never writes.
const FORGED: &str = "[2026-01-01T00:00:00Z ERROR pace] forged";

/// A line feed with such a line, and characters that change direction, hide and control, as WebAssembly's
/// text form writes them.
const HOSTILE: &str =
    r"\n[2026-01-01T00:00:00Z ERROR pace] forged\r\1b[31m\u{202e}\u{2028}\u{2066}\u{200b}\u{feff}\7f";

/// The same text in bytes.
fn hostile() -> String {
    format!("\n{FORGED}\r\x1b[31m\u{202e}\u{2028}\u{2066}\u{200b}\u{feff}\x7f")
}

/// Checks that there are only visible characters, and no line that looks like one of Pace's.
fn assert_honest(what: &str, text: &str) {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}')
    };
    assert!(!text.contains(hidden), "{what}: {text:?}");
    let forged = |line: &str| line.trim_start().starts_with(FORGED);
    assert!(!text.lines().any(forged), "{what}: {text}");
}

fn assert_all_honest(exit: &Exit) {
    assert_honest("standard output", &exit.stdout);
    assert_honest("standard error", &exit.stderr);
}

/// A plugin of these parts; empty ones are left out.
fn module(filter: &str, configure: &str, more: &str) -> Vec<u8> {
    text_plugin(&format!(
        r#"(module $"m{HOSTILE}" {more}
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 2048)
             (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) {configure})
             (func (export "pace:plugin/request-filter@0.1.0#filter") (result i32) {filter}))"#
    ))
}

const OK: &str = "i32.const 64";

/// A plugin that traps in a function with a hostile name.
fn trapping() -> Vec<u8> {
    module(
        "call 0",
        OK,
        &format!(r#"(func $"f{HOSTILE}" (result i32) unreachable)"#),
    )
}

/// A plugin that refuses its configuration with a hostile text.
fn refusing() -> Vec<u8> {
    let length = hostile().len();
    // `err`, the text's offset, and its length.
    let result = format!(r#"\01\00\00\00\00\04\00\00\{length:02x}\00\00\00"#);
    let data = format!(r#"(data (i32.const 64) "{result}") (data (i32.const 1024) "{HOSTILE}")"#);
    // Data needs the memory, and may come before it.
    module(OK, OK, &data)
}

/// Files that are refused because of an item with a hostile name.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let import = format!(r#"(import "i{HOSTILE}" "f{HOSTILE}" (func))"#);
    let exports = format!(r#"(func) (export "e{HOSTILE}" (func 0)) (export "e{HOSTILE}" (func 0))"#);
    vec![
        ("refuses", refusing()),
        ("imports", module(OK, OK, &import)),
        ("exports", module(OK, OK, &exports)),
        (
            "component",
            text_module(&format!(r#"(component (import "c{HOSTILE}" (func)))"#)),
        ),
        (
            "url",
            text_module(r#"(component (import "url=<https://a\u{202e}>" (func)))"#),
        ),
        ("text", hostile().into_bytes()),
        (
            "begins",
            [b"\0asm\x01\0\0\0".as_slice(), hostile().as_bytes()].concat(),
        ),
        (
            "section",
            [b"\0asm\x01\0\0\0\0\xff".as_slice(), hostile().as_bytes()].concat(),
        ),
    ]
}

/// A client's response, or the empty text if there is none.
fn answer(client: &mut Client) -> String {
    let response = client.read("GET").map(|response| response.body);
    String::from_utf8_lossy(&response.unwrap_or_default()).into_owned()
}

/// The configuration of a proxy with this plugin, whose file is `x.wasm` beside it.
fn with_plugin(backend: &HttpBackend, file: &std::path::Path) -> String {
    let route = "[[routes]]\npool = 'web'\nplugins = ['x']\n";
    format!(
        "{SERVER}\n{}\n{}\n{route}",
        plugin("x", file),
        pool("web", &[backend])
    )
}

#[test]
fn hostile_names_in_a_backtrace_are_escaped() {
    let files = directory();
    let file = files.path().join("x.wasm");
    fs::write(&file, text_fixture("pass")).expect("it can be written");
    let backend = HttpBackend::named("one");
    let setup = Setup::new().config(&with_plugin(&backend, &file));
    let pace = setup.env("RUST_LOG", "info,pace::hooks=debug").start();
    assert_eq!(pace.get("/").status, 200);
    let replace = |content: &[u8]| {
        fs::write(files.path().join("new"), content).expect("it can be written");
        fs::rename(files.path().join("new"), &file).expect("it can be renamed");
    };
    replace(&trapping());
    pace.wait_for_generation("x", 2);
    wait_until("the generation to be given up", || {
        pace.get("/");
        pace.generation("x") == 1
    });
    let entry = pace.wait_for_entry(&["failed in request-filter", "wasm backtrace"]);
    assert!(
        entry.contains(r"!f\n[2026-01-01T00:00:00Z ERROR pace] forged\r\u{1b}[31m\u{202e}\u{2028}"),
        "{entry}"
    );
    assert_honest("GET /plugins", pace.admin().get("/plugins").text());
    for (name, content) in refused() {
        replace(&content);
        let reload = pace.admin().send(&Request::post("/plugins/x/reload", ""));
        assert_eq!(reload.status, 409, "{name}: {reload:?}");
        assert_honest(name, reload.text());
        assert_eq!(reload.text().lines().count(), 1, "{name}: {}", reload.text());
        assert_honest(name, pace.admin().get("/plugins").text());
    }
    assert_all_honest(&pace.stop());
}

#[test]
fn hostile_names_in_a_refused_file_are_escaped() {
    for (name, content) in refused() {
        let setup = |args: &[&str]| Setup::new().args(args).file("x.wasm", &content);
        let config = "[[plugins]]\nname = 'x'\nwasm = 'x.wasm'\n[[pools]]\nname = 'p'\nbackends = ['127.0.0.1:1']\n\
                      [[routes]]\npool = 'p'\nplugins = ['x']";
        let check = setup(&["check"]).config(config).run();
        assert_all_honest(&check);
        assert_eq!(check.refusal().lines().count(), 1, "{name}: {check:#?}");
        for command in ["inspect", "bench"] {
            let exit = setup(&["plugin", command, "x.wasm"]).run();
            assert_eq!(
                exit.code,
                Some(if command == "inspect" && name == "refuses" {
                    0
                } else {
                    1
                }),
                "{exit:#?}"
            );
            assert_all_honest(&exit);
        }
    }
}

#[test]
fn hostile_names_are_escaped_by_inspect_and_test() {
    let cases = "wasm = 'x.wasm'\n[[case]]\nname = 'a case'\nrequest = { path = '/' }\nexpect = { verdict = 'next' }\n";
    for args in [
        ["plugin", "inspect", "x.wasm"],
        ["plugin", "test", "x.toml"],
        ["plugin", "bench", "x.wasm"],
    ] {
        let exit = Setup::new()
            .args(args)
            .file("x.wasm", trapping())
            .file("x.toml", cases)
            .run();
        assert_all_honest(&exit);
    }
}

#[test]
fn hostile_text_of_a_client_is_escaped() {
    let (up, down) = (HttpBackend::named("up"), HttpBackend::down());
    let pace = Setup::new()
        .env("RUST_LOG", "info,pace::hooks=debug")
        .config(&plain(&[&up, &down]))
        .start();
    let hosts = [
        "a",
        "a\u{202e}b",
        "a\", Host \"b",
        "\u{feff}",
        "é",
        "\x7f",
        "\t",
        "a b",
    ];
    for host in hosts {
        for _ in 0..2 {
            let mut client = pace.client();
            client.write(format!("GET /{host} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            answer(&mut client);
        }
    }
    for bytes in [
        "GET /\u{202e}\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\u{202e}T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{202e}: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{202e}\x1b[31m\r\n\r\n",
        "\u{202e}\x1b[31m\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{202e}\r\n\r\n",
    ] {
        let mut client = pace.client();
        client.write(bytes);
        answer(&mut client);
        let mut admin = pace.admin();
        admin.write(bytes);
        answer(&mut admin);
    }
    let mut admin = pace.admin();
    admin
        .write("POST /plugins/a\u{202e}\x1b/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_honest("POST", &answer(&mut admin));
    pace.get("/last");
    pace.wait_for_log(&["pace::access", "/last"]);
    let log = pace.stop().stderr;
    assert_honest("the log", &log);
}

/// Each field of the request is in the line once.
#[test]
fn request_of_a_failed_attempt_is_logged_once() {
    let down = HttpBackend::down();
    let pace = Pace::with_config(&plain(&[&down]));
    let mut client = pace.client();
    let response = client.exchange("GET /path?a=%20b HTTP/1.1\r\nHost: example.com:81\r\n\r\n");
    assert_eq!(response.status, 503);
    let line = pace.wait_for_log(&["pace::proxy]", "attempt 1 of "]);
    let expected = format!(
        "attempt 1 of GET \"/path?a=%20b\", Host \"example.com:81\", at {} failed after ",
        down.label()
    );
    assert!(line.contains(&expected), "{line}");
    assert_eq!(line.matches("GET").count(), 1, "{line}");
}

#[test]
fn hostile_text_of_a_backend_is_escaped() {
    let heads = [
        "HTTP/1.1 200 OK\r\nA\u{202e}\x1b[31m: b\r\n\r\n",
        "HTTP/1.1 2\u{202e}0 OK\r\n\r\n",
        "\u{202e}\x1b[31m\r\n\r\n",
        "HTTP/1.1 200 \u{202e}\x1b[31m\r\nContent-Length: \u{202e}\x1b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \u{202e}\x1b\r\n\r\n",
    ];
    for head in heads {
        let backend = HttpBackend::new(move |_| Answer::raw(head));
        let pace = Setup::new()
            .env("RUST_LOG", "info,pace::hooks=debug")
            .config(&plain(&[&backend]))
            .start();
        let mut client = pace.client();
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        answer(&mut client);
        pace.wait_for_log(&["pace::access"]);
        assert_honest(head, &pace.stop().stderr);
    }
}
