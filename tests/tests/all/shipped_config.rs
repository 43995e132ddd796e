//! The files in `config/`: each works as it is.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use pace_tests::{
    Authority, BackendTls, Http2, Http2Backend, Http2Options, HttpBackend, Pace, Request, Setup, Tls, root,
};

use crate::issuing::{curl, issue, issue_all};

/// The files that are configurations of Pace.
fn configurations() -> Vec<PathBuf> {
    let directory = fs::read_dir(root().join("config")).expect("the directory is there");
    let mut files: Vec<_> = directory
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    files
}

/// Starts a shipped file with other addresses: Pace's, which may be in use, and the backends'.
fn start(name: &str, backends: &[&HttpBackend]) -> Pace {
    set_up(&read(name), backends)
        .args(["--listen", "127.0.0.1:0"])
        .start()
}

/// Starts a shipped file with `[[listeners]]`. The certificates that it names, and those of `clients`, are made beside it.
fn start_encrypted(name: &str, authority: &Authority, clients: &[&str], backends: &[&HttpBackend]) -> Pace {
    // No two listeners have the same address, not even one without a port.
    let text = read(name)
        .replace("0.0.0.0:80\"", "127.0.0.1:0\"")
        .replace("0.0.0.0:443\"", "127.0.0.2:0\"");
    let setup = set_up(&text, backends);
    issue_all(authority, &text, setup.directory());
    for client in clients {
        issue(authority, &setup.directory().join(client), "client");
    }
    setup.start()
}

/// Starts the file for backends with TLS, with one that has the certificate `api.internal` of this authority.
fn start_with_encrypted_backend(address: &str, authority: &Authority) -> Pace {
    let text = read(ENCRYPTED_BACKENDS).replace("127.0.0.1:8443", address);
    let setup = Setup::new().config(&text).args(["--listen", "127.0.0.1:0"]);
    issue_all(authority, &text, setup.directory());
    fs::write(setup.directory().join("tls/internal-ca.pem"), authority.pem()).expect("it can be written");
    setup.start()
}

fn read(name: &str) -> String {
    let text = fs::read_to_string(root().join("config").join(name)).expect("the file is there");
    text.replace("127.0.0.1:9090", "127.0.0.1:0")
}

fn set_up(text: &str, backends: &[&HttpBackend]) -> Setup {
    let backends = backends
        .iter()
        .flat_map(|backend| ["--backend".to_owned(), backend.url()]);
    Setup::new().config(text).args(backends)
}

/// Where a Pace speaks TLS, by its log.
fn encrypted_address(pace: &Pace) -> SocketAddr {
    let line = pace.wait_for_log(&["listening on https://"]);
    let (_, rest) = line.split_once("https://").expect("it has the words");
    let address = rest.split(' ').next().unwrap_or_default();
    address.parse().expect("it is an address")
}

/// Files that are started otherwise: they listen where they say, and need certificates.
const ENCRYPTED: [&str; 3] = ["client-certificates.toml", "grpc.toml", "tls.toml"];

/// Files whose backend is asked whether it is there.
const CHECKING: [&str; 1] = ["health-checks.toml"];

/// A file that names certificates for its backends.
const ENCRYPTED_BACKENDS: &str = "backend-tls.toml";

/// A file that would have the authority asked. A unit test of the configuration reads it.
const ORDERING: &str = "acme.toml";

#[test]
fn shipped_configuration_starts() {
    for path in configurations() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a file has a name");
        if name == ORDERING {
            continue;
        }
        let backend = HttpBackend::named("one");
        let pace = match name {
            name if ENCRYPTED.contains(&name) => start_encrypted(name, &Authority::new("tests"), &[], &[]),
            name if CHECKING.contains(&name) => start(name, &[&backend]),
            ENCRYPTED_BACKENDS => start_with_encrypted_backend("127.0.0.1:1", &Authority::new("tests")),
            name => start(name, &[]),
        };
        let exit = pace.stop();
        assert_eq!(exit.code, Some(0), "{name}");
        assert!(!exit.stderr.contains("WARN"), "{name}:\n{}", exit.stderr);
    }
}

#[test]
fn headers_toml_edits_headers_as_documented() {
    let backend = HttpBackend::new(|_| {
        pace_tests::Answer::new("")
            .header("Server", "secret/1.0")
            .header("X-Powered-By", "secret")
            .header("Vary", "origin")
    });
    let pace = start("headers.toml", &[&backend]);
    let request = Request::get("/")
        .header("X-Internal-User", "root")
        .header("X-Env", "mine");
    let response = pace.client().send(&request).headers;

    for gone in ["server", "x-powered-by", "x-proxy", "x-backend"] {
        assert_eq!(response.get(gone), None, "{gone}");
    }
    assert_eq!(response.all("strict-transport-security"), ["max-age=31536000"]);
    assert_eq!(response.all("vary"), ["origin", "accept", "cookie"]);
    let seen = backend.request().headers;
    assert_eq!(seen.get("x-internal-user"), None);
    assert_eq!(
        (seen.all("x-env"), seen.all("x-team")),
        (vec!["prod"], vec!["edge"])
    );
}

/// nginx appends the client's address, and connects from 127.0.0.1.
#[test]
fn behind_nginx_toml_tells_clients_apart() {
    let nginx = fs::read_to_string(root().join("config/nginx-tls.conf")).expect("the file is there");
    assert!(nginx.contains("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"));

    let backend = HttpBackend::named("one");
    let pace = start("behind-nginx.toml", &[&backend]);
    let mut nginx = pace.client();
    let mut ask = |client: &str| {
        let request = Request::get("/").header("X-Forwarded-For", client);
        nginx.send(&request).status
    };
    for _ in 0..100 {
        assert_eq!(ask("192.0.2.1"), 200);
    }
    assert_eq!(ask("192.0.2.1"), 429);
    assert_eq!(
        ask("203.0.113.7, 192.0.2.1"),
        429,
        "what the client sent itself counts for nothing"
    );
    assert_eq!(ask("192.0.2.2"), 200);
}

#[test]
fn proxy_protocol_toml_reads_the_proxy_header() {
    let backend = HttpBackend::named("one");
    let pace = start("proxy-protocol.toml", &[&backend]);
    let mut balancer = pace.client();
    balancer.write("PROXY TCP4 192.0.2.1 192.0.2.200 40000 80\r\n");
    assert_eq!(balancer.get("/").status, 200);
    assert_eq!(
        backend.request().headers.get("x-forwarded-for"),
        Some("192.0.2.1")
    );
}

#[test]
fn backend_tls_toml_shows_a_certificate_and_wants_one() {
    let authority = Authority::new("tests");
    for (name, status) in [("api.internal", 200), ("other.internal", 503)] {
        let options = Http2Options {
            tls: Some(BackendTls::demanding(
                &authority.issue(&[name]),
                &["h2"],
                &authority,
            )),
            ..Http2Options::default()
        };
        let backend = Http2Backend::with(options, |call| call.answer("from inside"));
        let pace = start_with_encrypted_backend(&backend.label(), &authority);
        let response = pace.get("/");
        assert_eq!(response.status, status, "{name}: {}", response.text());
        if status == 200 {
            assert_eq!(response.text(), "from inside");
        }
        let exit = pace.stop();
        assert_eq!(
            status == 503,
            exit.stderr.contains("certificate"),
            "{name}:\n{}",
            exit.stderr
        );
    }
}

#[test]
fn redirect_toml_answers_without_a_backend() {
    let pace = start("redirect.toml", &[]);
    let response = pace
        .client()
        .send(&Request::get("/a?b").header("host", "example.com"));
    assert_eq!(
        (response.status, response.header("location")),
        (308, Some("https://www.example.com/a?b"))
    );
    assert_eq!(pace.get("/healthz").text(), "ok\n");
}

#[test]
fn grpc_toml_serves_calls() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        call.write(&body, false)?;
        call.finish(&[("grpc-status", "0")])
    });
    let authority = Authority::new("tests");
    let text = read("grpc.toml").replace("0.0.0.0:443\"", "127.0.0.1:0\"");
    let setup = Setup::new().config(&text).args(["--backend", &backend.url()]);
    issue_all(&authority, &text, setup.directory());
    let pace = setup.start();
    let mut client = Http2::connect_tls(
        pace.address(),
        &Tls::new(&authority, "example.com"),
        "example.com",
    );
    let mut call = Request::post("/a.Service/Echo", [0, 0, 0, 0, 2, 8, 1]);
    call = call
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = client.send(&call);
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &[0, 0, 0, 0, 2, 8, 1][..])
    );
    assert_eq!(answer.trailers.all("grpc-status"), ["0"]);
}

#[test]
fn tls_toml_serves_each_name_and_leads_there() {
    let (backend, authority) = (HttpBackend::named("one"), Authority::new("tests"));
    let pace = start_encrypted("tls.toml", &authority, &[], &[&backend]);
    let address = encrypted_address(&pace);
    let response = pace.get("/a?b");
    let there = format!("https://127.0.0.1:{}/a?b", address.port());
    assert_eq!(
        (response.status, response.header("location")),
        (308, Some(there.as_str()))
    );

    let ca = pace.directory().join("tls/clients.pem");
    let ca = ca.to_str().expect("it is UTF-8");
    for (name, version) in [("example.com", "--http2"), ("example.org", "--http1.1")] {
        let said = curl(name, address, "/", &["--cacert", ca, "--include", version]);
        let head = said.to_ascii_lowercase();
        assert!(
            head.contains("strict-transport-security: max-age=31536000"),
            "{said}"
        );
        assert!(said.ends_with("one"), "{said}");
    }
    // Other names get the default certificate.
    let said = curl(
        "elsewhere.example",
        address,
        "/",
        &["--insecure", "--write-out", "%{http_version}"],
    );
    assert_eq!(said, "one2");
    assert_eq!(curl("elsewhere.example", address, "/", &["--cacert", ca]), "");
}

#[test]
fn client_certificates_toml_asks_each_name_for_its_own() {
    let (backend, authority) = (HttpBackend::named("one"), Authority::new("tests"));
    let pace = start_encrypted(
        "client-certificates.toml",
        &authority,
        &["client.pem"],
        &[&backend],
    );
    let address = encrypted_address(&pace);
    let file = |name: &str| pace.directory().join(name).to_string_lossy().into_owned();
    let (ca, cert, key) = (file("tls/clients.pem"), file("client.pem"), file("client.key"));
    let trust = ["--cacert", &ca];
    let shown = ["--cacert", &ca, "--cert", &cert, "--key", &key];

    assert_eq!(curl("example.com", address, "/", &trust), "one");
    assert_eq!(curl("example.com", address, "/", &shown), "one");
    assert_eq!(curl("api.example.com", address, "/", &shown), "one");
    assert_eq!(curl("api.example.com", address, "/", &trust), "");
    // A connection that was made for another name is none for this one.
    let other = [
        &trust[..],
        &["--header", "Host: api.example.com", "--write-out", "%{http_code}"],
    ]
    .concat();
    assert!(curl("example.com", address, "/", &other).ends_with("421"));
}

#[test]
fn systemd_unit_has_a_command_that_starts() {
    let unit = fs::read_to_string(root().join("config/pace.service")).expect("the file is there");
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("a service has a command");
    let mut words = command.split_whitespace();
    assert!(
        words.next().is_some_and(|program| program.ends_with("/pace")),
        "{command}"
    );
    let backend = HttpBackend::named("one");
    // The command is the unit's, except for the file, which is not installed here, and the port, which may be
    // in use.
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let config = place.path().join("pace.toml");
    fs::write(&config, of_the_package()).expect("the directory is writable");
    let words = words.map(|word| match word {
        "/etc/pace/pace.toml" => config.as_os_str().to_owned(),
        word => word.into(),
    });
    let pace = Setup::new()
        .args(words)
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .start();
    assert_eq!(pace.get("/").text(), "one");
}

/// The configuration that the package installs, with a port of the admin listener that is free here.
pub(crate) fn of_the_package() -> String {
    read("pace.toml")
}

#[test]
fn configuration_of_the_package_tells_metrics_to_operators_alone() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&of_the_package())
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .start();
    assert_eq!(pace.get("/metrics").text(), "one");
    assert!(pace.admin().get("/metrics").text().contains("pace_build_info"));
}

#[test]
fn prometheus_configuration_matches_listener_and_metrics() {
    let scrape = fs::read_to_string(root().join("config/prometheus.yml")).expect("the file is there");
    let path = scrape
        .lines()
        .find_map(|line| line.trim().strip_prefix("metrics_path: "))
        .and_then(|rest| rest.split_whitespace().next())
        .expect("it names the path");
    let backend = HttpBackend::named("one");
    let pace = start("proxy.toml", &[&backend]);
    pace.get("/");
    let text = pace.get(path).text().to_owned();
    let named = scrape
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("http_requests_") || word.starts_with("pace_"));
    for metric in named.filter(|word| *word != "pace_") {
        assert!(text.contains(metric), "{metric}");
    }
}
