//! The messages that the pages show: each is provoked.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use pace_tests::{
    Authority, Exit, Gate, HttpBackend, Pace, Request, Setup, Signal, edition, exhausts_compiler, fixture,
    wait_until,
};

use super::page::{Page, code};
use crate::issuing::{DAY, curl, issue, issue_until};
use crate::sections::plain;
use crate::swapping::{Swapping, reconfigure, respond};
use crate::unread_log;

#[test]
fn messages_on_the_pages_are_those_of_the_program() {
    let said = [
        at_start(),
        while_serving(),
        while_swapping(),
        for_a_proxy(),
        of_listeners(),
        of_pools(),
        too_much(),
        not_meant(),
        at_the_end(),
    ]
    .concat();
    let pages = ["README.md", "docs/troubleshooting.md"].map(Page::of);
    let rows = pages
        .map(|page| page.table("| Pace says | what to do |"))
        .concat();
    assert!(rows.len() >= 40, "only {} messages", rows.len());
    for message in rows.iter().flat_map(|row| code(&row[0])) {
        let found = said.lines().any(|line| has(line, &message));
        assert!(found, "nothing was said like\n  {message}\nbut\n{said}");
    }
}

/// Whether a line has these words in this order, where `…` stands for anything.
fn has(line: &str, message: &str) -> bool {
    let mut rest = line;
    message
        .split('…')
        .map(str::trim)
        .all(|words| match rest.split_once(words) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

/// Provokes the reasons not to start.
fn at_start() -> String {
    let check = |config: &str| Setup::new().args(["check"]).config(config);
    let plugin = |wasm: &str, config: &str| {
        let plugin = format!("[[plugins]]\nname = 'x'\nwasm = '{wasm}'\nconfig = {{ {config} }}\n");
        let rest =
            "[[pools]]\nname = 'p'\nbackends = ['127.0.0.1:1']\n[[routes]]\npool = 'p'\nplugins = ['x']";
        check(&format!("{plugin}{rest}")).file("text.wasm", "This is a text.")
    };
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let listen = ["--backend", "127.0.0.1:1", "--listen", &address(&taken)];

    let anybodys = check("[server]\ncache_dir = 'cache'\n[upstreams]\nbackends = ['127.0.0.1:1']");
    let cache = anybodys.directory().join("cache");
    fs::create_dir(&cache)
        .and_then(|()| fs::set_permissions(&cache, Permissions::from_mode(0o777)))
        .expect("a temporary directory can be made");
    let pinned = format!("'\nsha256 = '{}", "0".repeat(64));

    let refusals = [
        anybodys,
        plugin(&format!("text.wasm{pinned}"), ""),
        check("[server]\nworker = 4"),
        check("[server]\nlisten = 0.0.0.0:8080"),
        Setup::new().args(["--config", "missing.toml"]),
        Setup::new().args(listen),
        plugin("text.wasm", ""),
        plugin(&fixture("wasi-import").to_string_lossy(), ""),
        plugin(&fixture("no-hook").to_string_lossy(), ""),
        plugin("builtin:rate-limiter", "max_request = 3"),
        plugin("large.wasm", "").file("large.wasm", exhausts_compiler()),
    ];
    refusals
        .map(|setup| format!("{}\n", setup.run().refusal()))
        .concat()
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().expect("it is bound").to_string()
}

/// Provokes what is said of backends: of one that is not there, one that hangs, and a name that nobody knows.
fn of_pools() -> String {
    let gate = Gate::new();
    gate.open();
    let hangs = HttpBackend::behind(&gate, "");
    let (up, down) = (HttpBackend::named("up"), HttpBackend::down());
    let mut checked = HttpBackend::named("checked");
    let one = up.label();
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n\
         [[pools]]\nname = 'web'\nbackends = ['{one}', '{down}', 'gone.invalid']\nejection = {{ failures = 1 }}\n\
         [[pools]]\nname = 'hangs'\nbackends = ['{one}', '{hangs}']\nejection = {{ failures = 1 }}\n\
         [[pools]]\nname = 'full'\nbackends = ['{hangs}']\nmax_in_flight = 1\nmax_queued = 0\n\
         [[pools]]\nname = 'checked'\nbackends = ['{checked}']\nhealth_check = {{ interval_ms = 20 }}\n\
         [[routes]]\npool = 'web'\n\
         [[routes]]\nmatch = {{ path_prefix = '/hangs' }}\npool = 'hangs'\n\
         [[routes]]\nmatch = {{ path_prefix = '/full' }}\npool = 'full'\n\
         [[routes]]\nmatch = {{ path_prefix = '/checked' }}\npool = 'checked'\n",
        down = down.label(),
        hangs = hangs.label(),
        checked = checked.label(),
    ));
    for target in ["/", "/", "/hangs", "/hangs", "/full"] {
        assert_eq!(pace.get(target).status, 200, "{target}");
    }
    wait_until("a check that passes", || !checked.requests().is_empty());
    checked.stop();
    gate.close();
    for _ in 0..2 {
        assert_eq!(pace.get("/hangs").status, 200);
    }
    let mut first = pace.client();
    first.transmit(&Request::get("/full")).expect("Pace accepts it");
    // The metrics say when it is under way: requests that wait at the gate are known only when they are read.
    let entry = || pace.backend("full", &hangs.label());
    wait_until("it to be under way", || entry()["in_flight"] == 1);
    let full = pace.get("/full");
    pace.wait_for_log(&["is unhealthy: 3 checks in a row"]);
    gate.open();
    format!("{}\n{}", pace.log(), full.text())
}

/// Provokes failures of requests.
fn while_serving() -> String {
    let (up, down) = (HttpBackend::named("up"), HttpBackend::down());
    let mut config = format!(
        "[server]\nlisten = '127.0.0.1:0'\n\
         [[pools]]\nname = 'half'\nbackends = ['{up}', '{down}']\n\
         [[pools]]\nname = 'down'\nbackends = ['{down}']\n\
         [[plugins]]\nname = 'balance'\nwasm = 'builtin:round-robin'\n\
         [[routes]]\nmatch = {{ path_prefix = '/half' }}\npool = 'half'\nplugins = ['balance']\n\
         [[routes]]\nmatch = {{ path_prefix = '/down' }}\npool = 'down'\nplugins = ['balance']\n\
         [[routes]]\nmatch = {{ path_prefix = '/post', methods = ['POST'] }}\npool = 'down'\n",
        up = up.label(),
        down = down.label(),
    );
    let failing = ["trap", "endless-loop", "memory-bomb", "illegal-status"];
    for name in failing {
        let wasm = fixture(name);
        write!(
            config,
            "[[plugins]]\nname = '{name}'\nwasm = '{}'\n\
             [[routes]]\nmatch = {{ path_prefix = '/{name}' }}\npool = 'half'\nplugins = ['{name}', 'balance']\n",
            wasm.display()
        )
        .expect("a String takes every write");
    }
    let pace = Pace::with_config(&config);
    let mut said = String::new();
    for path in ["/half", "/half", "/down", "/elsewhere", "/post"] {
        said += pace.get(path).text();
    }
    for name in failing {
        said += pace.get(&format!("/{name}/misbehave")).text();
    }
    said + &pace.stop().stderr
}

/// Provokes messages about replaced files.
fn while_swapping() -> String {
    let trap = fixture("trap");
    let swapping = Swapping::with(&edition(&trap, 1), "");
    let mut said = swapping.post("rollback").1;
    swapping.replace(&edition(&trap, 2));
    swapping.wait_for_generation(2);
    wait_until("a generation to be given up", || {
        swapping.pace.get("/misbehave");
        swapping.pace.log().contains("too many of its first calls failed")
    });
    swapping.replace(b"This is a text.");
    said += &swapping.post("reload").1;

    let more_workers = |text: String| text.replace("workers = 2", "workers = 3");
    said += &reconfigure(&swapping.pace, more_workers).1;
    let of_a_page = Request::post("/reload", "").header("Origin", "https://a.example");
    said += swapping.pace.admin().send(&of_a_page).text();
    said += &swapping.pace.stop().stderr;

    said += &on_the_way_back();
    let talkative = Swapping::with(
        &edition(&fixture("log-writer"), 1),
        "limits = { log_lines_per_second = 1 }",
    );
    wait_until("lines to be dropped", || {
        talkative.pace.get("/misbehave");
        talkative.pace.log().contains("lines were dropped")
    });
    said + &talkative.pace.stop().stderr
}

/// Provokes messages about generations that the configuration keeps from serving again.
fn on_the_way_back() -> String {
    let swapping = Swapping::with(&respond(1), "");
    let add = |keys: &str| {
        reconfigure(&swapping.pace, |text| {
            text.replacen("\n[[pools]]", &format!("{keys}\n\n[[pools]]"), 1)
        })
    };
    swapping.replace(&edition(&fixture("trap"), 1));
    swapping.wait_for_generation(2);
    wait_until("a generation to be given up", || {
        swapping.pace.get("/misbehave");
        swapping.status()["generation"] == 1
    });
    let mut said = swapping.post("rollback").1;
    // The file is needed, and is still the one that was given up.
    said += &add("isolation = 'request'").1;
    swapping.replace(&respond(3));
    said += &reconfigure(&swapping.pace, |text| text).1;
    said += &swapping.post("rollback").1;
    let serving = swapping.status()["sha256"].clone();
    said += &add(&format!("sha256 = {serving}")).1;
    said += &swapping.post("rollback").1;

    swapping.replace(b"This is a text.");
    said += &add("on_failure = 'open'").1;
    said + &swapping.pace.stop().stderr
}

/// Provokes messages about a trusted proxy that breaks the PROXY protocol.
fn for_a_proxy() -> String {
    let pace = Pace::with_config(
        "[server]\nlisten = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\nproxy_protocol = true\n\
         [upstreams]\nbackends = ['127.0.0.1:1']",
    );
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_to_end();
    pace.stop().stderr
}

/// A file with a listener that has certificates from these files.
fn encrypted(certificates: &str, keys: &str) -> String {
    format!(
        "[[listeners]]\nlisten = '127.0.0.1:0'\ncertificates = [{certificates}]\n{keys}\n\
         [admin]\nlisten = '127.0.0.1:0'\n[upstreams]\nbackends = ['127.0.0.1:1']\n"
    )
}

/// Provokes messages about certificates, and about an address that a reload cannot have.
fn of_listeners() -> String {
    let authority = Authority::new("tests");
    let (files, now) = (tempfile::tempdir().expect("it can be made"), SystemTime::now());
    let file = |name: &str| files.path().join(name);
    issue_until(&authority, &file("a.pem"), "a.example", now + 5 * DAY);
    issue(&authority, &file("b.pem"), "b.example");
    issue_until(&authority, &file("old.pem"), "a.example", now - DAY);
    fs::write(file("ca.pem"), authority.pem()).expect("it can be written");
    let entry = |cert: &str, key: &str, more: &str| {
        format!("{{ cert = {:?}, key = {:?}{more} }}", file(cert), file(key))
    };

    let mut said = String::new();
    for wrong in [entry("a.pem", "b.key", ""), entry("old.pem", "old.key", "")] {
        let exit = Setup::new().args(["check"]).config(&encrypted(&wrong, "")).run();
        writeln!(said, "{}", exit.refusal()).expect("a String takes every write");
    }

    let (open, asking) = (
        entry("a.pem", "a.key", ""),
        entry("b.pem", "b.key", ", client_certificates = 'required'"),
    );
    let tls = format!("tls = {{ client_ca = {:?} }}", file("ca.pem"));
    let pace = Pace::with_config(&encrypted(&format!("{open}, {asking}"), &tls));
    said += pace.client().exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text();
    let misdirected = ["--insecure", "--header", "Host: b.example"];
    said += &curl("a.example", pace.address(), "/", &misdirected);
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let another = format!("\n[[listeners]]\nlisten = '{}'\n", address(&taken));
    said += &reconfigure(&pace, |text| text + &another).1;
    fs::write(file("a.pem"), "This is a text.").expect("it can be written");
    pace.wait_for_log(&["the certificates are not taken"]);
    said + &pace.stop().stderr
}

/// Provokes messages about lines that were left out, and about a log that is not read.
fn too_much() -> String {
    let down = HttpBackend::down();
    let pace = Pace::with_config(&plain(&[&down]));
    wait_until("warnings to be left out", || {
        (0..25).for_each(|_| drop(pace.get("/")));
        pace.log().contains(" more failed attempts at ")
    });
    let said = pace.stop().stderr;

    let backend = HttpBackend::named("up");
    let pace = unread_log::start(&backend);
    unread_log::fill(&pace, &mut pace.client());
    pace.resume_log();
    pace.wait_for_log(&["log lines were dropped"]);
    said + &pace.stop().stderr
}

/// Provokes the messages about what is written and cannot be meant.
fn not_meant() -> String {
    let own = "[server]\nlisten = '0.0.0.0:8080'\n[upstreams]\nbackends = ['127.0.0.1:8080']\n";
    let covered = format!("{own}[admin]\nlisten = '127.0.0.1:8080'\n");
    [own, &covered]
        .map(|config| Setup::new().args(["check"]).config(config).run().stderr)
        .concat()
        + &Setup::new().env("RUST_LOG", "inf").args(["check"]).run().stderr
}

/// Provokes the messages about an upgrade that fails, a socket that nobody uses, and a request that takes longer than the
/// grace period.
fn at_the_end() -> String {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "late");
    let unused = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let pace = Setup::new()
        .sockets(&[(&unused, "unused")])
        .config(&format!(
            "[server]\nlisten = '127.0.0.1:0'\ngrace_period_seconds = 0\n[upstreams]\nbackends = ['{}']",
            backend.label()
        ))
        .start();
    fs::write(pace.directory().join("pace.toml"), "nonsense").expect("it is writable");
    pace.signal(Signal::USR2);
    pace.wait_for_log(&["its own lines say why"]);
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to reach the backend", || {
        !backend.requests().is_empty()
    });
    pace.signal(Signal::TERM);
    let Exit { code, stderr, .. } = pace.wait();
    gate.open();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}
