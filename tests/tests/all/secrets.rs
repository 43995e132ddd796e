//! Secrets that are granted to plugins: used, followed, and shown to nobody.

use std::fs;

use pace_tests::{HttpBackend, Pace, Request, Setup, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};

fn config(secrets: &str, backend: &HttpBackend) -> String {
    format!(
        "{ONE_WORKER}{}secrets = {{ {secrets} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"signer\"]\n",
        plugin("signer", &fixture("secret-user")),
        pool("web", &[backend]),
    )
}

/// Key and data are those of RFC 4231, 4.3.
const KEY: &str = "Jefe";
const DATA: &str = "what%20do%20ya%20want%20for%20nothing%3F";

/// `printf %s DATA | openssl dgst -sha256 -hmac Jefe`: the query is signed as it is sent, with its escapes.
const DIGEST: &str = "890c115f5f9fca140f8fc903f48f61393dcc11e3524509c032dad72a1e5fec2d";

fn signed(pace: &Pace, signature: &str, password: &str) -> String {
    let request = Request::get(&format!("/?{DATA}"))
        .header("x-signature", signature)
        .header("x-password", password);
    let response = pace.client().send(&request);
    assert_eq!(response.status, 200, "{response:?}");
    response.text().trim_end().to_owned()
}

#[test]
fn secret_signs_verifies_and_compares_and_is_shown_nowhere() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .file("hook.key", format!("{KEY}\n"))
        .config(&config("hook = { file = \"hook.key\" }", &backend))
        .start();
    let wrong = signed(&pace, "00", "jefe");
    assert_eq!(wrong, format!("{DIGEST} Ok(false) Ok(false) Err(NotGranted)"));
    let right = signed(&pace, DIGEST, KEY);
    assert_eq!(right, format!("{DIGEST} Ok(true) Ok(true) Err(NotGranted)"));
    for path in ["/plugins", "/plugins/signer", "/metrics"] {
        let shown = pace.admin().get(path);
        assert!(!shown.text().contains(KEY), "{path}: {shown:?}");
    }
    assert!(!pace.log().contains(KEY));
}

#[test]
fn file_that_changes_is_read_again() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .file("hook.key", "first")
        .config(&config("hook = { file = \"hook.key\" }", &backend))
        .start();
    let before = signed(&pace, "", "first");
    assert!(before.contains(" Ok(false) Ok(true) "), "{before}");
    let file = pace.directory().join("hook.key");
    fs::write(&file, "second").expect("it is in a temporary directory");
    wait_until("the new secret to be in use", || {
        signed(&pace, "", "second").contains(" Ok(false) Ok(true) ")
    });
    assert_ne!(
        signed(&pace, "", "first").split(' ').next(),
        before.split(' ').next()
    );
    // What cannot be read changes nothing.
    fs::remove_file(&file).expect("it is in a temporary directory");
    pace.wait_for_log(&["cannot read", "hook.key"]);
    assert!(signed(&pace, "", "second").contains(" Ok(false) Ok(true) "));
    fs::write(&file, "third").expect("it is in a temporary directory");
    wait_until("the third secret to be in use", || {
        signed(&pace, "", "third").contains(" Ok(false) Ok(true) ")
    });
}

#[test]
fn secret_that_is_missing_is_refused_before_the_first_request() {
    let backend = HttpBackend::named("one");
    for (secrets, told) in [
        ("", "`secrets` of this plugin must have `hook`"),
        ("hook = { file = \"no.key\" }", "no.key"),
        ("hook = { env = \"PACE_TEST_NO_SUCH\" }", "PACE_TEST_NO_SUCH"),
        ("hook = { env = \"A\", file = \"b\" }", "must be { env"),
        ("Hook = { env = \"PATH\" }", "Hook"),
    ] {
        let exit = Setup::new().config(&config(secrets, &backend)).run();
        assert!(exit.refusal().contains(told), "{secrets}: {exit:?}");
    }
    let pace = Pace::with_config(&config("hook = { env = \"PATH\" }", &backend));
    let path = std::env::var("PATH").expect("it is set wherever tests are run");
    assert!(signed(&pace, "", &path).contains(" Ok(true) "));
}
