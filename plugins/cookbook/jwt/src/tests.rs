use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, json};

use super::*;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const NOW: u64 = 1_800_000_000;
const RS256: &str = include_str!("../testdata/rs256.jwt");
const ES256: &str = include_str!("../testdata/es256.jwt");
const RSA_KEY: &str = include_str!("../testdata/rs256.pem");
const EC_KEY: &str = include_str!("../testdata/es256.pem");

fn checks(key: Result<Key, String>) -> Checks {
    Checks {
        key: key.expect("the key is good"),
        issuer: None,
        audience: Some("api".into()),
        leeway: 60,
    }
}

/// A token of these parts, signed with the secret.
fn token(header: Value, claims: Value) -> String {
    let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let hmac = Hmac::<rsa::sha2::Sha256>::new_from_slice(SECRET).expect("any length will do");
    let signature = hmac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn outcome(claims: Value) -> Result<Map<String, Value>, &'static str> {
    checks(Key::hs256(SECRET)).claims(&token(json!({"alg": "HS256"}), claims), NOW)
}

#[test]
fn the_example_of_rfc_7515_is_valid_until_it_expires() {
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = BASE64_URL_SAFE_NO_PAD.decode(key).expect("it is base64url");
    let checks = Checks {
        issuer: Some("joe".into()),
        audience: None,
        ..checks(Key::hs256(&key))
    };
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                 dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(checks.claims(token, 1_300_819_379).is_ok());
    assert!(
        checks.claims(token, 1_300_819_380 + 59).is_ok(),
        "clocks may differ"
    );
    assert_eq!(checks.claims(token, 1_300_819_380 + 60), Err("it has expired"));
}

#[test]
fn what_openssl_has_signed_is_valid() {
    for (key, token) in [(Key::rs256(RSA_KEY), RS256), (Key::es256(EC_KEY), ES256)] {
        let claims = checks(key).claims(token.trim(), NOW).expect("it is good");
        assert_eq!(claims["sub"], "ann");
    }
}

#[test]
fn every_byte_of_a_token_counts() {
    for (key, token) in [(Key::rs256(RSA_KEY), RS256), (Key::es256(EC_KEY), ES256)] {
        let checks = checks(key);
        for at in (0..token.trim().len()).step_by(17) {
            let mut bytes = token.trim().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("it is ASCII");
            assert!(checks.claims(&changed, NOW).is_err(), "byte {at}");
        }
    }
}

/// An attacker knows the public key, and signs with it as if it were a secret.
#[test]
fn a_token_does_not_choose_its_algorithm() {
    let confused = include_str!("../testdata/confused.jwt").trim();
    assert_eq!(
        checks(Key::rs256(RSA_KEY)).claims(confused, NOW),
        Err("signed with another algorithm")
    );
    for alg in ["none", "None", "hs256", "HS512", ""] {
        let token = token(json!({"alg": alg}), json!({"aud": "api", "exp": NOW + 1}));
        assert_eq!(
            checks(Key::hs256(SECRET)).claims(&token, NOW),
            Err("signed with another algorithm"),
            "{alg}"
        );
    }
    let unsigned = format!("{}.", RS256.rsplit_once('.').expect("it has three parts").0);
    assert_eq!(
        checks(Key::rs256(RSA_KEY)).claims(&unsigned, NOW),
        Err("its signature is wrong")
    );
}

#[test]
fn claims_are_checked() {
    let good = json!({"aud": "api", "exp": NOW + 1});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        outcome(claims).map(drop)
    };
    assert_eq!(outcome(good.clone()).map(drop), Ok(()));
    assert_eq!(with("aud", json!(["other", "api"])), Ok(()));
    assert_eq!(
        with("exp", json!(NOW as f64 - 59.5)),
        Ok(()),
        "a date may have a fraction"
    );
    assert_eq!(with("exp", json!(NOW - 60)), Err("it has expired"));
    assert_eq!(with("exp", json!("tomorrow")), Err("a date in it is no number"));
    assert_eq!(outcome(json!({"aud": "api"})), Err("it never expires"));
    assert_eq!(with("nbf", json!(NOW + 60)), Ok(()));
    assert_eq!(with("nbf", json!(NOW + 61)), Err("it is not valid yet"));
    for audience in [json!("apis"), json!([]), json!(["other"]), json!(1), Value::Null] {
        assert_eq!(with("aud", audience), Err("it is for another audience"));
    }
    let checks = Checks {
        issuer: Some("joe".into()),
        ..checks(Key::hs256(SECRET))
    };
    let of_ann = token(
        json!({"alg": "HS256"}),
        json!({"aud": "api", "exp": NOW + 1, "iss": "ann"}),
    );
    assert_eq!(checks.claims(&of_ann, NOW), Err("it has another issuer"));
}

#[test]
fn what_is_no_token_is_refused() {
    let checks = checks(Key::hs256(SECRET));
    for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "\u{e9}.a.b"] {
        assert!(checks.claims(text, NOW).is_err(), "{text}");
    }
    let critical = token(
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"aud": "api", "exp": NOW + 1}),
    );
    assert_eq!(checks.claims(&critical, NOW), Err("it has a critical extension"));
}

#[test]
fn a_bearer_token_is_read_as_rfc_6750_writes_it() {
    assert_eq!(bearer(b"Bearer a.b.c"), Some("a.b.c"));
    assert_eq!(bearer(b"bEARER  a.b.c"), Some("a.b.c"));
    for other in ["", "Bearer", "Basic QTpC", "Bearera.b.c"] {
        assert_eq!(bearer(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn mistakes_are_named() {
    let refusal = |config: Value| {
        pace_plugin::parse_config(&config.to_string())
            .and_then(Jwt::configure)
            .err()
            .unwrap_or_default()
    };
    assert!(refusal(json!({})).contains("missing field `algorithm`"));
    assert!(refusal(json!({"algorithm": "none"})).starts_with("algorithm: unknown variant `none`"));
    assert!(refusal(json!({"algorithm": "HS256"})).starts_with("secret: HS256 needs it"));
    assert!(
        refusal(json!({"algorithm": "HS256", "secret": "short"})).starts_with("secret: expected at least 32")
    );
    assert!(
        refusal(json!({"algorithm": "RS256", "secret": "a"})).starts_with("public_key: RS256 and ES256 need")
    );
    let weak = include_str!("../testdata/rsa1024.pem");
    assert!(
        refusal(json!({"algorithm": "RS256", "public_key": weak})).starts_with("public_key: expected 2048")
    );
    for (algorithm, other) in [("RS256", EC_KEY), ("ES256", RSA_KEY), ("ES256", "nonsense")] {
        let message = refusal(json!({"algorithm": algorithm, "public_key": other}));
        assert!(message.starts_with("public_key: "), "{message}");
    }
}
