//! Certificates of clients as plugins and backends are told of them.

use std::io::Write;
use std::process::{Command, Stdio};

use pace_tests::{
    Answer, Authority, Certificate, Client, Headers, Http2, Http2Backend, HttpBackend, Pace, Request,
    Scripted, Setup, Tls, TlsVersion, fixture,
};

use super::{PROCESS, entry, listener_of, pool};

const CERT: &str = "client-cert";
const CHAIN: &str = "client-cert-chain";

struct Parties {
    servers: Authority,
    clients: Authority,
    backend: HttpBackend,
}

impl Parties {
    fn new() -> Parties {
        Parties {
            servers: Authority::new("servers"),
            clients: Authority::new("clients"),
            backend: HttpBackend::named("one"),
        }
    }

    /// A Pace with an encrypted listener that asks for certificates, and a plain one behind it. The plugin reads certificates.
    fn pace(&self, forward: &str, server: &str) -> Pace {
        self.pace_before(&pool(&self.backend.label()), forward, server)
    }

    fn pace_before(&self, pool: &str, forward: &str, server: &str) -> Pace {
        let tls =
            format!("tls = {{ client_ca = \"clients.pem\", client_certificates = \"optional\", {forward} }}");
        let encrypted = listener_of("127.0.0.1:0", &[entry("a", "")], &tls);
        let process = PROCESS.replace("workers = 1", &format!("workers = 1\n{server}"));
        let config = format!(
            "{process}\n{encrypted}[[listeners]]\nlisten = \"127.0.0.2:0\"\n\n\
             [[plugins]]\nname = \"reader\"\nwasm = {:?}\n\n{pool}\n[[routes]]\npool = \"web\"\nplugins = [\"reader\"]\n",
            fixture("certificate-reader"),
        );
        let setup = Setup::new()
            .config(&config)
            .file("clients.pem", self.clients.pem());
        self.servers.issue(&["a.test"]).write(setup.directory(), "a");
        setup.start()
    }

    fn client(&self, pace: &Pace, version: TlsVersion, own: Option<&Certificate>) -> Client {
        pace.client().tls(&self.tls(version, own))
    }

    fn tls(&self, version: TlsVersion, own: Option<&Certificate>) -> Tls {
        match own {
            None => Tls::only(&self.servers, "a.test", version),
            Some(own) => Tls::identified(&self.servers, "a.test", version, own),
        }
    }

    /// The headers that the backend has got last.
    fn got(&self) -> Headers {
        self.backend
            .requests()
            .pop()
            .expect("there was a request")
            .headers
    }
}

/// The words of OpenSSL about a certificate.
fn openssl(certificate: &Certificate, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["x509", "-noout"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs openssl: apt-get install openssl");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(certificate.cert.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}");
    let text = String::from_utf8(output.stdout).expect("it is a text");
    text.split_once('=').expect("it is named").1.trim().to_owned()
}

#[test]
fn plugin_reads_in_every_hook_what_was_verified() {
    let parties = Parties::new();
    let pace = parties.pace("", "");
    let names = [
        "ann.test",
        "spiffe://a.test/ann",
        "ann@a.test",
        "192.0.2.7",
        "Other.test",
    ];
    let own = parties.clients.issue(&names);
    let serial = openssl(&own, &["-serial"]).to_lowercase();
    let fingerprint = openssl(&own, &["-fingerprint", "-sha256"])
        .replace(':', "")
        .to_lowercase();
    let facts = [
        "subject: \"CN=ann.test\", common_name: Some(\"ann.test\"), issuer: \"CN=clients\"".to_owned(),
        format!("serial_number: \"{serial}\""),
        "dns_names: [\"ann.test\", \"other.test\"], uris: [\"spiffe://a.test/ann\"]".to_owned(),
        "email_addresses: [\"ann@a.test\"], ip_addresses: [192.0.2.7]".to_owned(),
        format!("fingerprint: \"{fingerprint}\""),
    ];
    let is_told = |text: &str| facts.iter().all(|fact| text.contains(fact.as_str()));
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let tls = parties.tls(version, Some(&own));
        for resumed in [false, true] {
            let mut client = pace.client().tls(&tls);
            for _ in 0..2 {
                let response = client.get("/");
                let of_response = response.header("x-certificate").expect("the plugin sets it");
                assert!(is_told(of_response), "{of_response}");
                assert_eq!(
                    parties.got().all("x-certificate"),
                    [of_response],
                    "in request-filter"
                );
            }
            assert_eq!(client.wire().is_resumed(), resumed, "{version:?}");
        }
        let mut streams = Http2::connect_tls(pace.address(), &tls, "a.test");
        assert!(is_told(
            streams
                .get("/")
                .header("x-certificate")
                .expect("the plugin sets it")
        ));
    }
    // Quotes are escaped in the log.
    let line = pace.wait_for_log(&["INFO", "selecting for Some(ClientCertificate"]);
    assert!(line.contains(&fingerprint), "{line}");
}

#[test]
fn plugin_reads_no_certificate_where_none_was_shown() {
    let parties = Parties::new();
    let pace = parties.pace("forward_client_certificates = \"chain\"", "");
    for mut client in [
        parties.client(&pace, TlsVersion::V13, None),
        Client::new(pace.listeners()[1]),
    ] {
        let forged = Request::get("/").header("Client-Cert", ":MAA=:");
        let response = client.send(&forged);
        assert_eq!(response.header("x-certificate"), Some("None None"));
        assert_eq!(response.header("x-client-cert"), Some(""));
        assert_eq!(parties.got().all(CERT), Vec::<&str>::new());
    }
}

#[test]
fn certificate_is_forwarded_as_the_listener_says() {
    let parties = Parties::new();
    let between = parties.clients.subordinate("between");
    let direct = parties.clients.issue(&["direct.test"]);
    let mut distant = between.issue(&["distant.test"]);
    // Certificates that prove nothing are shown as well, and none of them is forwarded.
    distant.cert += Authority::new("stranger").pem();
    distant.cert += parties.clients.pem();
    let sequences = Certificate::byte_sequences;
    for (forward, tells, tells_chain) in [
        ("", false, false),
        ("forward_client_certificates = \"none\"", false, false),
        ("forward_client_certificates = \"certificate\"", true, false),
        ("forward_client_certificates = \"chain\"", true, true),
    ] {
        let pace = parties.pace(forward, "");
        for version in [TlsVersion::V12, TlsVersion::V13] {
            for own in [&direct, &distant] {
                let tls = parties.tls(version, Some(own));
                let cert = &sequences(&own.cert)[..usize::from(tells)];
                let has_chain = tells_chain && std::ptr::eq(own, &distant);
                let chain = &sequences(between.pem())[..usize::from(has_chain)];
                let check = |seen: Option<&str>| {
                    let got = parties.got();
                    assert_eq!(got.all(CERT), cert, "{forward} {version:?}");
                    assert_eq!(got.all(CHAIN), chain, "{forward} {version:?}");
                    let shown = cert.first().map_or("", String::as_str);
                    assert_eq!(seen, Some(shown), "plugins see what the backend gets");
                };
                let forged = Request::get("/")
                    .header("Client-Cert", ":MAA=:")
                    .header("client-cert", ":MAB=:")
                    .header("CLIENT-CERT-CHAIN", ":MAA=:, :MAB=:")
                    .header("Connection", "client-cert, client-cert-chain");
                for _ in 0..2 {
                    let mut client = pace.client().tls(&tls);
                    check(client.send(&forged).header("x-client-cert"));
                    check(client.get("/").header("x-client-cert"));
                }
                let mut streams = Http2::connect_tls(pace.address(), &tls, "a.test");
                let forged = Request::get("/").header("client-cert", ":MAA=:");
                check(streams.send(&forged).header("x-client-cert"));
            }
        }
    }
}

#[test]
fn certificate_is_forwarded_over_http_2_as_well() {
    let backend = Http2Backend::named("one");
    let parties = Parties::new();
    let own = parties.clients.issue(&["ann.test"]);
    let pool = pool(&backend.label()) + "protocol = \"h2\"\n";
    let pace = parties.pace_before(&pool, "forward_client_certificates = \"certificate\"", "");
    let shown = parties.tls(TlsVersion::V13, Some(&own));
    let anonymous = parties.tls(TlsVersion::V13, None);
    for (tls, expected) in [
        (shown, &Certificate::byte_sequences(&own.cert)[..1]),
        (anonymous, &[]),
    ] {
        let forged = Request::get("/")
            .header("client-cert", ":MAA=:")
            .header("client-cert-chain", ":MAA=:");
        assert_eq!(pace.client().tls(&tls).send(&forged).status, 200);
        let mut streams = Http2::connect_tls(pace.address(), &tls, "a.test");
        assert_eq!(streams.send(&forged).status, 200);
        for head in backend.requests().iter().rev().take(2) {
            let got = &head.request.headers;
            assert_eq!(got.all(CERT), expected);
            assert_eq!(got.get(CHAIN), None);
        }
    }
    assert_eq!(backend.requests().len(), 4);
}

#[test]
fn certificate_is_forwarded_differently_after_a_reload() {
    let parties = Parties::new();
    let pace = parties.pace("forward_client_certificates = \"none\"", "");
    let own = parties.clients.issue(&["ann.test"]);
    let mut client = parties.client(&pace, TlsVersion::V13, Some(&own));
    client.get("/");
    assert_eq!(parties.got().get(CERT), None);
    let file = pace.directory().join("pace.toml");
    let config = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, config.replace("\"none\"", "\"certificate\"")).expect("it can be written");
    assert_eq!(pace.admin().send(&Request::post("/reload", "")).status, 200);
    client.get("/");
    assert_eq!(client.connections(), 1, "it goes on");
    assert_eq!(
        parties.got().all(CERT),
        &Certificate::byte_sequences(&own.cert)[..1]
    );
}

/// A client could otherwise be whoever it says it is.
#[test]
fn fields_of_a_client_about_certificates_reach_nobody() {
    let parties = Parties::new();
    for server in [
        "",
        "underscores = \"pass\"",
        "trusted_proxies = [\"127.0.0.0/8\"]",
        "trusted_proxies = [\"127.0.0.0/8\"]\nunderscores = \"pass\"",
    ] {
        let pace = parties.pace("", server);
        let names = [
            "Client-Cert",
            "Client-Cert-Chain",
            "Client_Cert",
            "client-cert_chain",
            "CLIENT_CERT-CHAIN",
        ];
        let mut plain = Client::new(pace.listeners()[1]);
        let mut encrypted = parties.client(&pace, TlsVersion::V13, None);
        let mut streams = Http2::connect(pace.listeners()[1]);
        for name in names {
            let request = Request::get("/").header(name, ":MAA=:").header("X-Kept", "1");
            let lower = Request::get("/")
                .header(&name.to_ascii_lowercase(), ":MAA=:")
                .header("x-kept", "1");
            for status in [
                plain.send(&request).status,
                encrypted.send(&request).status,
                streams.send(&lower).status,
            ] {
                assert_eq!(status, 200);
                let got = parties.got();
                assert_eq!(got.get("x-kept"), Some("1"));
                assert!(is_silent(&got), "{name} with {server:?}: {got:?}");
            }
        }
    }
}

/// Whether nothing in a message looks like the fields, in whatever spelling.
fn is_silent(headers: &Headers) -> bool {
    let names = headers.names().into_iter();
    names
        .map(|name| name.to_ascii_lowercase().replace('_', "-"))
        .all(|name| !name.starts_with("client-cert"))
}

#[test]
fn trailers_of_a_client_about_certificates_reach_nobody() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            let body = line.head()?.unwrap_or_default().to_ascii_lowercase();
            assert_eq!(body, "2\r\nok\r\n0\r\nx-kept: 1\r\n\r\n");
            line.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let parties = Parties::new();
    for server in ["", "underscores = \"pass\""] {
        let pace = parties.pace_before(&pool(&backend.label()), "", server);
        let mut plain = Client::new(pace.listeners()[1]);
        let response = plain.exchange(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: client-cert\r\n\r\n\
             2\r\nok\r\n0\r\nClient-Cert: :MAA=:\r\nClient_Cert_Chain: :MAA=:\r\nX-Kept: 1\r\n\r\n",
        );
        assert_eq!(response.status, 200);

        let mut streams = Http2::connect(pace.listeners()[1]);
        let mut open = streams
            .open(&Request::new("POST", "/"), false)
            .expect("it is sent");
        open.write(b"ok", false).expect("there is room");
        let trailers = [
            ("client-cert", ":MAA=:"),
            ("client_cert_chain", ":MAA=:"),
            ("x-kept", "1"),
        ];
        open.trailers(&trailers).expect("it is open");
        assert_eq!(open.response().expect("it is answered").status, 200);
    }
}

/// No cache before Pace knows the field by which the response was chosen.
#[test]
fn response_that_varies_by_the_certificate_is_for_no_cache() {
    let mut parties = Parties::new();
    parties.backend = HttpBackend::new(|request| {
        let vary = request.headers.get("x-vary").unwrap_or_default().to_owned();
        Answer::new("one").header("Vary", vary)
    });
    let own = parties.clients.issue(&["ann.test"]);
    for (forward, hides) in [("certificate", true), ("none", false)] {
        let pace = parties.pace(&format!("forward_client_certificates = \"{forward}\""), "");
        let mut client = parties.client(&pace, TlsVersion::V13, Some(&own));
        for (vary, is_about) in [
            ("Client-Cert", true),
            ("accept, client-cert-chain", true),
            ("accept-encoding", false),
            ("x-client-cert", false),
        ] {
            let response = client.send(&Request::get("/").header("X-Vary", vary));
            let expected = if hides && is_about { "*" } else { vary };
            assert_eq!(response.header("vary"), Some(expected));
        }
    }
}
