//! Tests of the policy without a host: configurations, limits and answers.

use pace_plugin::parse_config;
use proptest::prelude::*;

use super::*;

fn limit(json: &str) -> Result<Limit, String> {
    parse_config::<Config>(json).map(Limit::from)
}

fn refusal(json: &str) -> String {
    limit(json).expect_err(json)
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let header = reply
        .headers()
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .expect(name);
    std::str::from_utf8(&header.value).expect("all headers of this reply are text")
}

#[test]
fn empty_configuration_is_100_requests_per_minute_and_network() {
    let network = Network {
        ipv4_prefix: 32,
        ipv6_prefix: 64,
    };
    assert_eq!(
        limit("{}"),
        Ok(Limit {
            max_requests: 100,
            window: Duration::from_secs(60),
            client: Client::Network(network)
        })
    );
}

#[test]
fn full_prefixes_limit_whole_addresses() {
    let limit = limit(r#"{"ipv6_prefix": 128}"#).expect("legal");
    assert_eq!(limit.client, Client::Address);
}

#[test]
fn header_key_falls_back_to_the_network() {
    let limit = limit(r#"{"key": "header:X-User", "ipv4_prefix": 24}"#).expect("legal");
    let otherwise = Network {
        ipv4_prefix: 24,
        ipv6_prefix: 64,
    };
    assert_eq!(
        limit.client,
        Client::Header {
            name: "x-user".into(),
            otherwise
        }
    );
}

#[test]
fn number_out_of_range_is_refused_with_the_range() {
    for (json, range) in [
        (
            r#"{"max_requests": 0}"#,
            "max_requests: invalid value: integer `0`, expected an integer from 1 to 4294967295",
        ),
        (
            r#"{"max_requests": -5}"#,
            "integer `-5`, expected an integer from 1 to 4294967295",
        ),
        (
            r#"{"max_requests": 4294967296}"#,
            "expected an integer from 1 to 4294967295",
        ),
        (
            r#"{"max_requests": 1.5}"#,
            "expected an integer from 1 to 4294967295",
        ),
        (
            r#"{"max_requests": "many"}"#,
            "expected an integer from 1 to 4294967295",
        ),
        (r#"{"window_seconds": 0}"#, "expected an integer from 1 to 604800"),
        (
            r#"{"window_seconds": 604801}"#,
            "expected an integer from 1 to 604800",
        ),
        (r#"{"ipv4_prefix": 33}"#, "expected an integer from 0 to 32"),
        (r#"{"ipv6_prefix": 129}"#, "expected an integer from 0 to 128"),
    ] {
        let refusal = refusal(json);
        assert!(refusal.contains(range), "{json}: {refusal}");
    }
}

#[test]
fn unknown_keys_and_values_are_refused_with_what_is_allowed() {
    for (json, reason) in [
        (
            r#"{"max_request": 1}"#,
            "unknown field `max_request`, expected one of `max_requests`",
        ),
        (
            r#"{"key": "cookie"}"#,
            "unknown value `cookie`, expected `client_ip` or `header:NAME`",
        ),
        (r#"{"key": "header:"}"#, "`` is not the name of a header"),
        (r#"{"key": "header:x y"}"#, "`x y` is not the name of a header"),
    ] {
        let refusal = refusal(json);
        assert!(refusal.contains(reason), "{json}: {refusal}");
    }
}

#[test]
fn denied_client_gets_its_limit_and_the_time_to_wait() {
    let limit = limit(r#"{"max_requests": 7}"#).expect("legal");
    let reply = limit.deny(Full {
        wait: Duration::from_millis(2_001),
    });
    assert_eq!(reply.status(), 429);
    assert_eq!(header(&reply, "retry-after"), "3");
    assert_eq!(header(&reply, "ratelimit-limit"), "7");
    assert_eq!(header(&reply, "ratelimit-remaining"), "0");
    assert_eq!(header(&reply, "ratelimit-reset"), "3");
    assert_eq!(header(&reply, "content-type"), "text/plain");
    assert!(!reply.body_bytes().is_empty());
}

proptest! {
    #[test]
    fn retry_after_is_long_enough_and_less_than_a_second_too_long(nanos in 1..u64::MAX) {
        let wait = Duration::from_nanos(nanos);
        let told = Duration::from_secs(Full { wait }.retry_after());
        prop_assert!(told >= wait);
        prop_assert!(told - wait < Duration::from_secs(1));
    }

    #[test]
    fn number_in_range_is_accepted_unchanged(
        max_requests in 1..=u32::MAX,
        window_seconds in 1..=604_800_u64,
        ipv4_prefix in 0..=32_u8,
        ipv6_prefix in 0..=127_u8,
    ) {
        let json = format!(
            r#"{{"max_requests": {max_requests}, "window_seconds": {window_seconds},
                "ipv4_prefix": {ipv4_prefix}, "ipv6_prefix": {ipv6_prefix}}}"#
        );
        prop_assert_eq!(limit(&json), Ok(Limit {
            max_requests,
            window: Duration::from_secs(window_seconds),
            client: Client::Network(Network { ipv4_prefix, ipv6_prefix }),
        }));
    }
}
