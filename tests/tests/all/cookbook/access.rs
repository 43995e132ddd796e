//! Plugins that decide who gets access.

use pace_tests::{Authority, Certificate, HttpBackend, Request, Setup, Tls, TlsVersion, recipe, wait_until};

use super::{entry, last_seen, refusal, start, start_behind_proxy};

/// `printf %s "the key of ann" | sha256sum`
const ANN: &str = "00416dbc32a0fec52d6585cd5ada86f6f76cc24e58720fdd8083b14c8c30effe";
/// `printf %s "the key of bob" | sha256sum`
const BOB: &str = "010364ee4a2191b87c512f1a734be690b40ad73048cdefe944ffdbc46dc28eff";

fn with_key(key: &str) -> Request {
    Request::get("/")
        .header("X-Api-Key", key)
        .header("X-Api-Client", "root")
}

#[test]
fn api_key_admits_known_keys_and_limits_each() {
    let backend = HttpBackend::named("in");
    let config =
        format!("keys = {{ ann = \"{ANN}\", bob = \"{BOB}\" }}\nlimit = {{ requests = 3, seconds = 3600 }}");
    let pace = start("api-key", &config, &[&backend]);
    let mut client = pace.client();
    for request in [
        Request::get("/"),
        with_key(""),
        with_key("the key of an"),
        with_key("the key of ann2"),
    ] {
        let refused = client.send(&request);
        assert_eq!(
            (refused.status, refused.text()),
            (401, "This needs an API key.\n")
        );
        assert_eq!(
            refused.header("www-authenticate"),
            Some("ApiKey header=\"X-Api-Key\"")
        );
    }
    assert!(backend.requests().is_empty());

    assert_eq!(client.send(&with_key("the key of ann")).text(), "in");
    let seen = backend.request().headers;
    assert_eq!(seen.all("x-api-client"), ["ann"], "not what the client says");
    assert_eq!(seen.get("x-api-key"), None, "the backend has no use for it");

    let mut ask = |key| client.send(&with_key(key)).status;
    assert_eq!(
        [
            ask("the key of ann"),
            ask("the key of ann"),
            ask("the key of ann")
        ],
        [200, 200, 429]
    );
    assert_eq!(ask("the key of bob"), 200, "each has a limit of its own");
    let denied = client.send(&with_key("the key of ann"));
    let seconds: u32 = denied
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a number");
    assert!((1..=3604).contains(&seconds), "{seconds}");
}

#[test]
fn api_key_names_mistakes_in_its_config() {
    let message = refusal("api-key", "keys = { ann = \"secret\" }");
    assert!(
        message.contains("keys.ann: expected the 64 hexadecimal digits"),
        "{message}"
    );
    let message = refusal("api-key", "");
    assert!(message.contains("missing field `keys`"), "{message}");
}

/// `printf %s "ann:open sesame" | sha256sum`
const ANN_LINE: &str = "6fdfb1552db0f54e3ec44d22dd73c5e83e5b4af58374e1daf96053f3e99c8c6a";

#[test]
fn basic_auth_asks_for_a_password_and_limits_attempts() {
    let backend = HttpBackend::named("in");
    let config =
        format!("users = {{ ann = \"{ANN_LINE}\" }}\nrealm = 'the \"lab\"'\nfailures_per_minute = 3");
    let pace = start("basic-auth", &config, &[&backend]);
    let mut client = pace.client();
    let with = |credentials: &str| Request::get("/").header("Authorization", format!("Basic {credentials}"));
    // `printf %s "ann:open sesame" | base64`, and `ann:wrong`.
    let (right, wrong) = ("YW5uOm9wZW4gc2VzYW1l", "YW5uOndyb25n");

    let asked = client.get("/");
    let challenge = Some("Basic realm=\"the \\\"lab\\\"\", charset=\"UTF-8\"");
    assert_eq!((asked.status, asked.header("www-authenticate")), (401, challenge));
    assert!(backend.requests().is_empty());
    let let_in = client.send(&with(right).header("X-Remote-User", "root"));
    assert_eq!(let_in.text(), "in");
    let seen = backend.request().headers;
    assert_eq!(
        (seen.all("x-remote-user"), seen.get("authorization")),
        (vec!["ann"], None)
    );

    let mut ask = |credentials: &str| client.send(&with(credentials)).status;
    assert_eq!([ask(wrong), ask("nonsense!"), ask(wrong)], [401, 401, 401]);
    assert_eq!(
        [ask(wrong), ask(right)],
        [429, 429],
        "who guesses learns nothing more"
    );
    assert_eq!(pace.get("/").status, 401, "who has not tried is asked");
    assert_eq!(
        pace.client_from("127.0.0.2").send(&with(right)).status,
        200,
        "nobody else has to wait"
    );
}

#[test]
fn basic_auth_names_mistakes_in_its_config() {
    let message = refusal("basic-auth", "users = { ann = \"secret\" }");
    assert!(
        message.contains("users.ann: expected 64 hexadecimal digits"),
        "{message}"
    );
}

#[test]
fn client_certificate_admits_who_is_listed() {
    let backend = HttpBackend::named("in");
    let servers = Authority::new("servers");
    let clients = Authority::new("clients");
    let listener = "[admin]\nlisten = \"127.0.0.1:0\"\n\n[[listeners]]\nlisten = \"127.0.0.1:0\"\n\
                    certificates = [{ cert = \"a.pem\", key = \"a.key\" }]\n\
                    tls = { client_ca = \"clients.pem\", client_certificates = \"optional\" }\n";
    let keys = "common_names = [\"ann\"]\nuris = [\"spiffe://example/shop\"]\nforward = \"X-Subject\"";
    let name = "client-certificate";
    let config = entry(&recipe(name), name, keys, listener, &[&backend]);
    let setup = Setup::new().config(&config).file("clients.pem", clients.pem());
    servers.issue(&["a.test"]).write(setup.directory(), "a");
    let pace = setup.start();
    let ask = |own: Option<&Certificate>| {
        let tls = match own {
            Some(own) => Tls::identified(&servers, "a.test", TlsVersion::V13, own),
            None => Tls::new(&servers, "a.test"),
        };
        let forged = Request::get("/").header("X-Subject", "CN=ann");
        let response = pace.client().tls(&tls).send(&forged);
        (response.status, response.text().to_owned())
    };
    let in_ = (200, "in".to_owned());
    assert_eq!(ask(Some(&clients.issue(&["ann"]))), in_);
    assert_eq!(last_seen(&backend).all("x-subject"), ["CN=ann"]);
    assert_eq!(ask(Some(&clients.issue(&["bob", "spiffe://example/shop"]))), in_);
    assert_eq!(last_seen(&backend).all("x-subject"), ["CN=bob"]);
    let refused = (403, "Not with this certificate.\n".to_owned());
    assert_eq!(
        ask(Some(&clients.issue(&["anna", "spiffe://example/shop/2"]))),
        refused
    );
    assert_eq!(ask(None), (403, "This needs a certificate.\n".to_owned()));
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn client_certificate_names_mistakes_in_its_config() {
    let message = refusal("client-certificate", "fingerprints = [\"ab\"]");
    assert!(
        message.contains("fingerprints[0]: expected the 64 hexadecimal digits of a SHA-256"),
        "{message}"
    );
}

#[test]
fn ip_list_admits_listed_networks() {
    let backend = HttpBackend::named("in");
    let pace = start_behind_proxy(
        "ip-list",
        "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = [\"192.0.2.66\"]",
        &[&backend],
    );
    let mut proxy = pace.client();
    let mut ask = |client: &str| {
        proxy
            .send(&Request::get("/").header("X-Forwarded-For", client))
            .status
    };
    assert_eq!([ask("192.0.2.1"), ask("2001:db8::1")], [200, 200]);
    assert_eq!(
        [ask("192.0.2.66"), ask("198.51.100.1"), ask("2001:db9::1")],
        [403, 403, 403]
    );
    assert_eq!(backend.requests().len(), 2);
    // A peer that is not a trusted proxy is the client itself.
    let forged = Request::get("/").header("X-Forwarded-For", "192.0.2.1");
    assert_eq!(pace.client_from("127.0.0.2").send(&forged).status, 403);
}

#[test]
fn ip_list_names_mistakes_in_its_config() {
    let message = refusal("ip-list", "allow = [\"10.0.0.1/8\"]");
    assert!(
        message.contains("allow[0]: `10.0.0.1/8` is an address in the network 10.0.0.0/8"),
        "{message}"
    );
}

#[test]
fn bot_block_refuses_robots() {
    let backend = HttpBackend::named("in");
    let pace = start(
        "bot-block",
        "block = [\"bot\"]\nallow = [\"goodbot\"]\nblock_empty = true",
        &[&backend],
    );
    let mut client = pace.client();
    let mut ask = |path: &str, agent: &str| {
        client
            .send(&Request::get(path).header("User-Agent", agent))
            .status
    };
    assert_eq!(
        [
            ask("/", "Mozilla/5.0"),
            ask("/", "GoodBot/1.0"),
            ask("/robots.txt", "EvilBot")
        ],
        [200, 200, 200]
    );
    assert_eq!(
        [
            ask("/", "EvilBot/1.0"),
            ask("/", ""),
            ask("/robots.txt/../a", "EvilBot")
        ],
        [403, 403, 403]
    );
    assert_eq!(pace.get("/").status, 403, "without the header");
    assert!(refusal("bot-block", "block = [\"\"]").contains("block[0]: "));
}

#[test]
fn maintenance_answers_in_place_of_the_backends() {
    let backend = HttpBackend::named("in");
    let config = "page = \"<h1>Back at noon</h1>\"\ncontent_type = \"text/html\"\nretry_after_seconds = 600\n\
                  allow = [\"127.0.0.2\"]\nexcept = [\"/health\"]";
    let pace = start("maintenance", config, &[&backend]);
    let answer = pace.get("/");
    assert_eq!((answer.status, answer.text()), (503, "<h1>Back at noon</h1>"));
    let header = |name| answer.header(name);
    assert_eq!(
        (header("retry-after"), header("content-type")),
        (Some("600"), Some("text/html"))
    );
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(
        pace.client_from("127.0.0.2").get("/").text(),
        "in",
        "who works on it"
    );
    assert_eq!(pace.get("/health").text(), "in");
    assert!(
        refusal("maintenance", "retry_after_seconds = 0")
            .contains("retry_after_seconds: invalid value: integer `0`, expected an integer from 1 to 86400")
    );
}

/// After the work the operator takes the plugin off the route, without a restart.
#[test]
fn maintenance_ends_with_a_changed_configuration() {
    let backend = HttpBackend::named("in");
    let pace = start("maintenance", "", &[&backend]);
    assert_eq!(pace.get("/").status, 503);
    let (status, _) =
        crate::swapping::reconfigure(&pace, |text| text.replace("plugins = [\"maintenance\"]", ""));
    assert_eq!(status, 200);
    wait_until("the backends to answer", || pace.get("/").status == 200);
}
