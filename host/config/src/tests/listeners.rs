//! `[[listeners]]` and `[acme]`.

use std::path::PathBuf;

use super::super::Overrides;
use super::super::listener::{
    Acme, Alpn, Certificate, ClientCertificates, ForwardedCertificates, Listener, Tls, TlsVersion,
};
use super::{SHORT, config, only, parse_with};

/// Both lists with every key.
const EVERY_KEY: &str = r#"
[[listeners]]
listen = "0.0.0.0:80"
redirect_to_https = true

[[listeners]]
listen = "0.0.0.0:443"
certificates = [
  { cert = "tls/example.pem", key = "tls/example.key" },
  { cert = "tls/other.pem", key = "tls/other.key", default = true, client_certificates = "required" },
]

[listeners.tls]
min_version = "1.3"
alpn = ["http/1.1", "h2"]
client_ca = "tls/clients.pem"
client_certificates = "optional"
forward_client_certificates = "chain"

[acme]
directory = "https://acme-v02.api.letsencrypt.org/directory"
email = "ops@example.com"
names = ["example.com", "WWW.example.com"]
state_dir = "acme"
root_ca = "/etc/ssl/pebble.pem"
"#;

/// One pool, and two routes that listeners can name.
const ROUTES: &str = r#"
[[pools]]
name = "web"
backends = ["app"]

[[routes]]
name = "shop"
match = { host = "shop.example" }
pool = "web"

[[routes]]
name = "rest"
pool = "web"
"#;

const BACKENDS: &str = "[upstreams]\nbackends = ['app']\n";

/// The entry of a listener with a certificate.
const ENCRYPTED: &str = "[[listeners]]\nlisten = ':443'\ncertificates = [{ cert = 'c', key = 'k' }]\n";

/// An authority, for listeners with TLS.
const ACME: &str = "[acme]\ndirectory = 'https://a/d'\nnames = ['a.example']\nstate_dir = 'acme'\n";

fn plain(listen: &str) -> Listener {
    Listener {
        listen: super::super::ListenAddress::parse(listen).expect("an address"),
        redirect_to_https: false,
        tls: None,
        routes: None,
    }
}

fn certificate(name: &str) -> Certificate {
    Certificate {
        cert: PathBuf::from(format!("conf/tls/{name}.pem")),
        key: PathBuf::from(format!("conf/tls/{name}.key")),
        default: false,
        client_certificates: None,
    }
}

/// The TLS of the only listener.
fn tls(lines: &str) -> Tls {
    let config = config(&format!(
        "[[listeners]]\nlisten = ':443'\n{lines}\n{ACME}{BACKENDS}"
    ));
    let [Listener { tls: Some(tls), .. }] = &config.listeners[..] else {
        panic!("one listener, with TLS")
    };
    tls.clone()
}

/// The only problem of these lines, from its line on.
#[track_caller]
fn refused(lines: &str) -> String {
    problem(&format!("{lines}{BACKENDS}"))
}

/// The only problem of a listener with these keys.
#[track_caller]
fn refused_keys(keys: &str) -> String {
    refused(&format!("[[listeners]]\nlisten = ':443'\n{keys}\n"))
}

#[track_caller]
fn problem(text: &str) -> String {
    only(text).replace("conf/proxy.toml:", "")
}

#[test]
fn listeners_have_every_key_that_is_written() {
    let config = config(&format!("{EVERY_KEY}{BACKENDS}"));
    let redirecting = Listener {
        redirect_to_https: true,
        ..plain("0.0.0.0:80")
    };
    let encrypted = Listener {
        tls: Some(Tls {
            certificates: vec![
                certificate("example"),
                Certificate {
                    default: true,
                    client_certificates: Some(ClientCertificates::Required),
                    ..certificate("other")
                },
            ],
            min_version: TlsVersion::Tls13,
            alpn: vec![Alpn::Http11, Alpn::Http2],
            client_ca: Some("conf/tls/clients.pem".into()),
            client_certificates: ClientCertificates::Optional,
            forward_client_certificates: ForwardedCertificates::Chain,
        }),
        ..plain("0.0.0.0:443")
    };
    assert_eq!(config.listeners, [redirecting, encrypted]);
    assert_eq!(
        config.acme,
        Some(Acme {
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            email: Some("ops@example.com".to_owned()),
            names: vec!["example.com".to_owned(), "www.example.com".to_owned()],
            state_dir: "conf/acme".into(),
            root_ca: Some("/etc/ssl/pebble.pem".into()),
        })
    );
    assert_eq!(config.warnings(), []);
}

#[test]
fn tls_has_defaults() {
    let expected = Tls {
        certificates: vec![],
        min_version: TlsVersion::Tls12,
        alpn: vec![Alpn::Http2, Alpn::Http11],
        client_ca: None,
        client_certificates: ClientCertificates::None,
        forward_client_certificates: ForwardedCertificates::None,
    };
    // Certificates may be ordered alone, come from files alone, or both.
    assert_eq!(tls("tls = {}"), expected);
    assert_eq!(tls("certificates = []"), expected);
    let from_files = tls("certificates = [{ cert = 'tls/a.pem', key = 'tls/a.key' }]");
    let certificates = vec![certificate("a")];
    assert_eq!(
        from_files,
        Tls {
            certificates,
            ..expected
        }
    );
}

#[test]
fn server_listen_is_the_short_form_of_one_listener() {
    let long = SHORT.replace("listen = \"0.0.0.0:8080\"\n", "");
    let long = format!("{long}\n[[listeners]]\nlisten = \"0.0.0.0:8080\"\n");
    assert_eq!(config(&long), config(SHORT));
}

#[test]
fn listener_has_all_routes_or_those_that_it_names() {
    let lists = "[[listeners]]\nlisten = ':1'\n[[listeners]]\nlisten = ':2'\nroutes = ['rest', 'shop', 'rest']\n\
                 [[listeners]]\nlisten = ':3'\nroutes = ['rest']\n";
    let config = config(&format!("{lists}{ROUTES}"));
    let routes: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| listener.routes.clone())
        .collect();
    assert_eq!(routes, [None, Some(vec![0, 1]), Some(vec![1])]);
}

#[test]
fn listeners_exclude_their_short_forms() {
    assert_eq!(
        refused("[server]\nlisten = ':80'\n[[listeners]]\nlisten = ':81'\n"),
        "2:10: `listen` in [server]: it stands for one listener, and there is [[listeners]]: make it an entry there"
    );
    let option = Overrides {
        listen: Some(":80".to_owned()),
        ..Overrides::default()
    };
    let both = format!("[[listeners]]\nlisten = ':81'\n{BACKENDS}");
    assert_eq!(
        parse_with(&both, &option).expect_err("both").to_string(),
        "--listen: it is for a file without [[listeners]]: this one says itself where to listen"
    );
}

#[test]
fn listeners_need_an_entry_and_each_an_address_of_its_own() {
    assert_eq!(
        problem(&format!("listeners = []\n{BACKENDS}")),
        "1:13: [listeners]: it needs at least one entry"
    );
    assert_eq!(
        refused("[[listeners]]\nroutes = []\n"),
        "1:1: [[listeners]]: the key `listen` is missing"
    );
    assert_eq!(
        refused("[[listeners]]\nlisten = '0.0.0.0:80'\n[[listeners]]\nlisten = ':80'\n"),
        "4:10: `listen` in [[listeners]]: 0.0.0.0:80 is the address of the listener in line 2"
    );
    assert_eq!(
        refused("[[listeners]]\nlisten = ':0'\n[[listeners]]\nlisten = ':0'\n"),
        "4:10: `listen` in [[listeners]]: 0.0.0.0:0 is the address of the listener in line 2"
    );
    assert_eq!(
        refused("[[listeners]]\nlisten = '80'\n"),
        "2:10: `listen` in [[listeners]]: \"80\" has no port; write it as \"0.0.0.0:8080\" or \"[::]:8080\""
    );
    assert_eq!(
        refused("[[listeners]]\nlisten = ':80'\n[admin]\nlisten = ':80'\n"),
        "4:10: `listen` in [admin]: clients connect to 0.0.0.0:80 already; the admin API needs another"
    );
}

#[test]
fn routes_of_a_listener_are_names_of_routes() {
    let refused = |routes: &str| {
        problem(&format!(
            "[[listeners]]\nlisten = ':1'\nroutes = {routes}\n{ROUTES}"
        ))
    };
    assert_eq!(
        refused("['shop', 'rst']"),
        "3:19: `routes` in [[listeners]]: there is no route `rst`: did you mean `rest`? Allowed: `shop`, `rest`"
    );
    assert_eq!(
        refused("[]"),
        "3:10: `routes` in [[listeners]]: it needs at least one name; leave it out for all routes"
    );
}

#[test]
fn redirect_without_a_destination_or_with_something_to_serve_is_refused() {
    assert_eq!(
        refused("[[listeners]]\nlisten = ':80'\nredirect_to_https = true\n"),
        "3:21: `redirect_to_https` in [[listeners]]: no listener has certificates, so there is nowhere to go to"
    );
    assert_eq!(
        refused(&format!("{ENCRYPTED}redirect_to_https = true\n")),
        "4:21: `redirect_to_https` in [[listeners]]: what comes to this listener is encrypted already: it has \
         certificates"
    );
    let both = format!(
        "[[listeners]]\nlisten = ':80'\nredirect_to_https = true\nroutes = ['rest']\n{ENCRYPTED}{ROUTES}"
    );
    assert_eq!(
        problem(&both),
        "4:10: `routes` in [[listeners]]: the listener redirects everything, so no route is ever taken"
    );
    let off = "[[listeners]]\nlisten = ':80'\nredirect_to_https = false\n";
    assert_eq!(config(&format!("{off}{BACKENDS}")).listeners, [plain(":80")]);
}

#[test]
fn tls_without_a_certificate_is_refused() {
    let reason =
        "TLS needs a certificate: write `certificates = [{ cert = \"...\", key = \"...\" }]`, or [acme]";
    assert_eq!(
        refused_keys("certificates = []"),
        format!("3:16: `certificates` in [[listeners]]: {reason}")
    );
    assert_eq!(
        refused_keys("tls = {}"),
        format!("3:7: `tls` in [[listeners]]: {reason}")
    );
    assert_eq!(
        refused_keys("certificates = [{ cert = 'c' }]"),
        "3:17: `certificates` in [[listeners]]: the key `key` is missing"
    );
    assert_eq!(
        refused_keys("certificates = [{ key = 'k' }]"),
        "3:17: `certificates` in [[listeners]]: the key `cert` is missing"
    );
}

#[test]
fn second_default_certificate_is_refused() {
    let entry = "{ cert = 'c', key = 'k', default = true }";
    assert_eq!(
        refused_keys(&format!("certificates = [{entry},\n{entry}]")),
        "4:36: `certificates.default` in [[listeners]]: another certificate of this listener is the default already"
    );
    let other = entry.replace("true", "false");
    assert!(!tls(&format!("certificates = [{entry}, {other}]")).certificates[1].default);
}

#[test]
fn client_certificates_and_their_authority_need_each_other() {
    let files = "certificates = [{ cert = 'c', key = 'k' }]";
    let no_authority = "certificates of clients need an authority that vouches for them: write `client_ca`";
    assert_eq!(
        refused_keys(&format!("{files}\ntls = {{ client_certificates = 'required' }}")),
        format!("4:31: `tls.client_certificates` in [[listeners]]: {no_authority}")
    );
    assert_eq!(
        refused_keys("certificates = [{ cert = 'c', key = 'k', client_certificates = 'optional' }]"),
        format!("3:16: `certificates` in [[listeners]]: {no_authority}")
    );
    assert_eq!(
        refused_keys(&format!("{files}\ntls = {{ client_ca = 'ca' }}")),
        "4:21: `tls.client_ca` in [[listeners]]: no client is asked for a certificate: write \
         `client_certificates = \"optional\"` or \"required\""
    );
    // One listener with a name that asks for certificates is enough.
    let by_name = "certificates = [{ cert = 'c', key = 'k', client_certificates = 'optional' }]\n\
                   tls = { client_ca = 'ca' }";
    assert_eq!(tls(by_name).client_certificates, ClientCertificates::None);
}

#[test]
fn certificates_of_clients_are_forwarded_where_clients_are_asked() {
    let files = "certificates = [{ cert = 'c', key = 'k' }]";
    assert_eq!(
        refused_keys(&format!(
            "{files}\ntls = {{ forward_client_certificates = 'chain' }}"
        )),
        "4:39: `tls.forward_client_certificates` in [[listeners]]: no client is asked for a certificate, so there is none \
         to forward: write `client_certificates = \"optional\"` or \"required\""
    );
    let off = tls(&format!(
        "{files}\ntls = {{ forward_client_certificates = 'none' }}"
    ));
    assert_eq!(off.forward_client_certificates, ForwardedCertificates::None);
    let by_name = "certificates = [{ cert = 'c', key = 'k', client_certificates = 'optional' }]\n\
                   tls = { client_ca = 'ca', forward_client_certificates = 'certificate' }";
    assert_eq!(
        tls(by_name).forward_client_certificates,
        ForwardedCertificates::Certificate
    );
}

#[test]
fn unknown_version_protocol_or_choice_is_refused() {
    let of_tls = |keys: &str| {
        let message = refused_keys(&format!(
            "certificates = [{{ cert = 'c', key = 'k' }}]\ntls = {{ {keys} }}"
        ));
        message.strip_prefix("4:").expect("the line of `tls`").to_owned()
    };
    assert_eq!(
        of_tls("min_version = '1.1'"),
        "23: `tls.min_version` in [[listeners]]: TLS 1.1 is broken (RFC 8996) and not spoken: write \"1.2\" or \"1.3\""
    );
    assert_eq!(
        of_tls("min_version = '1.4'"),
        "23: `tls.min_version` in [[listeners]]: \"1.4\" is none of \"1.2\", \"1.3\""
    );
    assert_eq!(
        of_tls("alpn = []"),
        "16: `tls.alpn` in [[listeners]]: it needs \"h2\", \"http/1.1\" or both"
    );
    assert_eq!(
        of_tls("alpn = ['h2', 'h3']"),
        "16: `tls.alpn` in [[listeners]]: \"h3\": HTTP/3 is not spoken by this version of Pace"
    );
    assert!(of_tls("alpn = ['http/1']").ends_with(
        "\"http/1\" is none of \"h2\", \"http/1.1\": did you mean `http/1.1`? Allowed: `h2`, `http/1.1`"
    ));
    assert!(of_tls("client_certificates = 'require'").ends_with(
        "`tls.client_certificates` in [[listeners]]: \"require\" is none of \"none\", \"optional\", \"required\": did \
         you mean `required`? Allowed: `none`, `optional`, `required`"
    ));
    assert!(of_tls("forward_client_certificates = 'yes'").contains(
        "`tls.forward_client_certificates` in [[listeners]]: \"yes\" is none of \"none\", \"certificate\", \"chain\""
    ));
    assert!(of_tls("ciphers = 'all'").ends_with(
        "unknown key `ciphers` in `tls` in [[listeners]]. Allowed: `min_version`, `alpn`, `client_ca`, \
         `client_certificates`, `forward_client_certificates`"
    ));
}

#[test]
fn acme_needs_an_encrypted_url_names_and_a_listener_for_them() {
    let changed = |from: &str, to: &str| {
        assert!(ACME.contains(from), "no {from}");
        refused(&format!("{}{ENCRYPTED}", ACME.replace(from, to)))
    };
    assert_eq!(
        changed("https:", "http:"),
        "2:13: `directory` in [acme]: \"http://a/d\" must begin with https://"
    );
    assert_eq!(
        changed("['a.example']", "[]"),
        "3:9: `names` in [acme]: it needs at least one name"
    );
    assert_eq!(
        changed("a.example", "*.example"),
        "3:9: `names` in [acme]: \"*.example\": an authority gives wildcards only to whoever controls the DNS of a \
         name, which Pace does not"
    );
    assert_eq!(
        changed("a.example", "a_b.example"),
        "3:9: `names` in [acme]: \"a_b.example\" is not the name of a host"
    );
    for key in ["directory", "names", "state_dir"] {
        let line = ACME.lines().find(|line| line.starts_with(key)).expect(key);
        assert_eq!(
            changed(&format!("{line}\n"), ""),
            format!("1:1: [acme]: the key `{key}` is missing")
        );
    }
    assert_eq!(
        refused(ACME),
        "1:1: [acme]: no listener has TLS, so nobody would get the certificate: give one `tls = {}`"
    );
    assert_eq!(
        refused(&format!("{ACME}[[listeners]]\nlisten = ':80'\n")),
        "1:1: [acme]: no listener has TLS, so nobody would get the certificate: give one `tls = {}`"
    );
}
