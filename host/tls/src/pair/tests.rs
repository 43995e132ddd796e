use std::time::{Duration, SystemTime};

use super::*;
use crate::testing::{self, Made};

const DAY: Duration = Duration::from_secs(86_400);

fn pem<'a>(name: &'a str, text: &'a str) -> Pem<'a> {
    Pem {
        name,
        bytes: text.as_bytes(),
    }
}

fn parse(certificate: &str, key: &str, now: SystemTime) -> Result<Pair, String> {
    Pair::parse(pem("a.pem", certificate), pem("a.key", key), now).map_err(|error| error.to_string())
}

fn made() -> Made {
    testing::authority("ca").issue(|params| params.subject_alt_names = testing::names(&["example.com"]))
}

#[test]
fn pair_that_fits_says_its_names_and_fingerprint() {
    let made = made();
    let pair = parse(&made.chain_pem, &made.key_pem, SystemTime::now()).unwrap();
    assert_eq!(
        pair.certificate().dns_names().collect::<Vec<_>>(),
        ["example.com"]
    );
    assert_eq!(pair.certificate().der(), &made.chain[0]);
    assert_ne!(pair.certificate().sha256(), &[0; 32]);
    let together = format!("{}{}", made.key_pem, made.chain_pem);
    parse(&together, &together, SystemTime::now()).unwrap();
}

#[test]
fn rsa_and_ecdsa_keys_in_each_pem_form_are_taken() {
    // OpenSSL writes keys in three forms: PKCS #8, PKCS #1, SEC 1 with its parameters before.
    for arguments in [
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
        &["genrsa", "-traditional", "2048"],
        &["ecparam", "-name", "prime256v1", "-genkey"],
        &["genpkey", "-algorithm", "ED25519"],
    ] {
        let key = testing::openssl(arguments, "");
        let certificate = testing::openssl(
            &[
                "req",
                "-x509",
                "-key",
                "/dev/stdin",
                "-subj",
                "/CN=a",
                "-days",
                "9",
            ],
            &key,
        );
        let pair = parse(&certificate, &key, SystemTime::now());
        assert!(pair.is_ok(), "{arguments:?}: {pair:?}");
    }
}

#[test]
fn key_of_another_certificate_is_refused_by_both_names() {
    let refused = parse(&made().chain_pem, &made().key_pem, SystemTime::now()).unwrap_err();
    assert_eq!(refused, "a.pem: the key in a.key does not fit this certificate");
}

#[test]
fn chain_whose_leaf_is_not_first_is_refused_with_its_place() {
    let authority = testing::authority("ca");
    let made = authority.issue(|_| ());
    let reversed = format!("{}{}", authority.pem, made.leaf_pem);
    let refused = parse(&reversed, &made.key_pem, SystemTime::now()).unwrap_err();
    assert_eq!(
        refused,
        "a.pem: the key in a.key fits certificate 2 of the file, which must be the first"
    );
}

#[test]
fn pair_outside_of_its_time_is_refused_with_the_date() {
    let now = SystemTime::now();
    let made = testing::authority("ca").issue(|params| {
        params.not_before = (now - DAY).into();
        params.not_after = (now + DAY).into();
    });
    let early = parse(&made.chain_pem, &made.key_pem, now - 2 * DAY).unwrap_err();
    assert!(
        early.starts_with("a.pem: the certificate is not valid before ") && early.ends_with(" GMT"),
        "{early}"
    );
    let late = parse(&made.chain_pem, &made.key_pem, now + 2 * DAY).unwrap_err();
    assert!(
        late.starts_with("a.pem: the certificate expired on ") && late.ends_with(" GMT"),
        "{late}"
    );
}

#[test]
fn encrypted_key_is_refused_with_the_way_out() {
    let key = testing::openssl(
        &[
            "genrsa",
            "-traditional",
            "-aes128",
            "-passout",
            "pass:abcd",
            "2048",
        ],
        "",
    );
    let refused = parse(&made().chain_pem, &key, SystemTime::now()).unwrap_err();
    assert!(
        refused.starts_with("a.key: the private key is encrypted"),
        "{refused}"
    );
    let key = testing::openssl(
        &[
            "genpkey",
            "-algorithm",
            "ED25519",
            "-aes128",
            "-pass",
            "pass:abcd",
        ],
        "",
    );
    let refused = parse(&made().chain_pem, &key, SystemTime::now()).unwrap_err();
    assert!(
        refused.starts_with("a.key: the private key is encrypted"),
        "{refused}"
    );
}

#[test]
fn key_too_short_to_be_used_is_refused() {
    let key = testing::openssl(&["genrsa", "1024"], "");
    let refused = parse(&made().chain_pem, &key, SystemTime::now()).unwrap_err();
    assert!(
        refused.starts_with("a.key: the private key cannot be used: "),
        "{refused}"
    );
}

#[test]
fn file_without_certificate_or_key_is_refused_by_its_name() {
    let made = made();
    let now = SystemTime::now();
    let cases = [
        (parse("", &made.key_pem, now), "a.pem: has no certificate"),
        (
            parse(&made.key_pem, &made.key_pem, now),
            "a.pem: has no certificate",
        ),
        (parse(&made.chain_pem, "", now), "a.key: has no private key"),
        (
            parse(&made.chain_pem, &made.chain_pem, now),
            "a.key: has no private key",
        ),
        (
            parse(&made.chain_pem[..made.chain_pem.len() - 40], &made.key_pem, now),
            "a.pem: not PEM: the line `-----END CERTIFICATE-----` is missing",
        ),
        (
            parse(
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &made.key_pem,
                now,
            ),
            "a.pem: certificate 1 of 1: not an X.509",
        ),
        (
            parse(
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
                &made.key_pem,
                now,
            ),
            "a.pem: not PEM: a section is not base64",
        ),
    ];
    for (nth, (result, expected)) in cases.into_iter().enumerate() {
        let refused = result.unwrap_err();
        assert!(refused.starts_with(expected), "{nth}: {refused}");
    }
}
