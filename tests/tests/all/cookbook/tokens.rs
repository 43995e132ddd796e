//! JSON Web Tokens, signed by OpenSSL and valid until 2100.

use std::fs;

use pace_tests::{HttpBackend, Pace, Request, root};

use super::{refusal, start};

fn data(name: &str) -> String {
    let file = root().join("plugins/cookbook/jwt/testdata").join(name);
    fs::read_to_string(file).expect("it is there")
}

fn ask(pace: &Pace, token: &str) -> pace_tests::Response {
    let token = format!("Bearer {}", token.trim());
    pace.client().send(
        &Request::get("/")
            .header("Authorization", token)
            .header("X-User", "root"),
    )
}

const REST: &str = "issuer = \"https://login.example\"\naudience = \"api\"\nforward = { sub = \"X-User\", admin = \"X-Admin\" }";

#[test]
fn jwt_admits_valid_tokens() {
    let algorithms = [
        (
            "HS256",
            "secret = \"a secret of at least thirty-two bytes\"".to_owned(),
            "hs256.jwt",
        ),
        (
            "RS256",
            format!("public_key = '''\n{}'''", data("rs256.pem")),
            "rs256.jwt",
        ),
        (
            "ES256",
            format!("public_key = '''\n{}'''", data("es256.pem")),
            "es256.jwt",
        ),
    ];
    for (algorithm, key, good) in &algorithms {
        let backend = HttpBackend::named("in");
        let pace = start(
            "jwt",
            &format!("algorithm = \"{algorithm}\"\n{key}\n{REST}"),
            &[&backend],
        );
        assert_eq!(ask(&pace, &data(good)).text(), "in", "{algorithm}");
        let seen = backend.request().headers;
        assert_eq!(
            (seen.all("x-user"), seen.all("x-admin")),
            (vec!["ann"], vec!["true"])
        );

        // Tokens of the other algorithms, and one that uses the public key as a secret.
        for other in ["hs256.jwt", "rs256.jwt", "es256.jwt", "confused.jwt"]
            .iter()
            .filter(|name| *name != good)
        {
            let refused = ask(&pace, &data(other));
            assert_eq!(refused.status, 401, "{other} where {algorithm} is asked for");
            let challenge = refused.header("www-authenticate").unwrap_or_default();
            assert!(
                challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""),
                "{challenge}"
            );
        }
        let nobody = pace.get("/");
        assert_eq!(
            (nobody.status, nobody.header("www-authenticate")),
            (401, Some("Bearer"))
        );
        let token = format!("Bearer {}", data(good).trim());
        let twice = Request::get("/")
            .header("Authorization", token.clone())
            .header("Authorization", token);
        assert_eq!(
            pace.client().send(&twice).status,
            401,
            "the backend could read the other"
        );
        assert_eq!(
            backend.requests().len(),
            1,
            "none but the first reached the backend"
        );
    }
}

#[test]
fn jwt_refuses_a_token_changed_in_any_part() {
    let backend = HttpBackend::named("in");
    let key = format!("public_key = '''\n{}'''", data("es256.pem"));
    let pace = start(
        "jwt",
        &format!("algorithm = \"ES256\"\n{key}\n{REST}"),
        &[&backend],
    );
    let good = data("es256.jwt").trim().to_owned();
    for at in (0..good.len()).step_by(17) {
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = good.clone();
        changed.replace_range(at..=at, other);
        assert_eq!(ask(&pace, &changed).status, 401, "byte {at} of {good}");
    }
    assert!(backend.requests().is_empty());
}

#[test]
fn jwt_names_mistakes_in_its_config() {
    let message = refusal("jwt", "algorithm = \"HS256\"\nsecret = \"short\"");
    assert!(
        message.contains("secret: expected at least 32 bytes, found 5"),
        "{message}"
    );
    let message = refusal("jwt", "algorithm = \"none\"");
    assert!(
        message.contains("algorithm: HS256 has a secret, RS256 and ES256 a public_key"),
        "{message}"
    );
    let weak = format!(
        "algorithm = \"RS256\"\npublic_key = '''\n{}'''",
        data("rsa1024.pem")
    );
    let message = refusal("jwt", &weak);
    assert!(
        message.contains("public_key: expected 2048 to 4096 bits, found 1024"),
        "{message}"
    );
}
