//! The files in `config/`: each works as it is.

use std::fs;
use std::path::PathBuf;

use pace_tests::{HttpBackend, Pace, Request, Setup, root};

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
    let text = fs::read_to_string(root().join("config").join(name)).expect("the file is there");
    let text = text.replace("127.0.0.1:9090", "127.0.0.1:0");
    let backends = backends
        .iter()
        .flat_map(|backend| ["--backend".to_owned(), backend.url()]);
    Setup::new()
        .config(&text)
        .args(["--listen", "127.0.0.1:0"])
        .args(backends)
        .start()
}

#[test]
fn shipped_configuration_starts() {
    for path in configurations() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a file has a name");
        let exit = start(name, &[]).stop();
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
    let config = root().join("config/proxy.toml");
    let words = words.map(|word| match word {
        "/etc/pace/proxy.toml" => config.as_os_str().to_owned(),
        word => word.into(),
    });
    let pace = Setup::new()
        .args(words)
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .start();
    assert_eq!(pace.get("/").text(), "one");
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
