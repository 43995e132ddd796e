//! How a pool looks after its backends.

use std::time::Duration;

use super::super::pool::{
    CheckKind, Ejection, Endpoint, HealthCheck, InFlightLimit, Statuses, Stickiness, Upkeep,
};
use super::{config, only};

fn upkeep(keys: &str) -> Upkeep {
    let mut config = config(&format!("[upstreams]\nbackends = ['app']\n{keys}"));
    config.pools.remove(0).settings.upkeep
}

/// The only problem with these keys, without its place.
fn refused(keys: &str) -> String {
    let message = only(&format!("[upstreams]\nbackends = ['app']\n{keys}"));
    let (_, message) = message.split_once(": ").expect("it has a place");
    message.to_owned()
}

#[test]
fn pool_without_keys_only_looks_names_up_again() {
    assert_eq!(
        upkeep(""),
        Upkeep {
            resolve_every: Some(Duration::from_secs(10)),
            health_check: None,
            ejection: None,
            slow_start: Duration::ZERO,
            in_flight: None,
            stickiness: None,
        }
    );
    assert_eq!(upkeep("resolve_every_seconds = 0").resolve_every, None);
    assert_eq!(upkeep("slow_start_ms = 5").slow_start, Duration::from_millis(5));
}

#[test]
fn empty_table_has_all_defaults() {
    let upkeep = upkeep("health_check = {}\nejection = {}\nstickiness = {}\nmax_in_flight = 7");
    assert_eq!(upkeep.health_check, Some(HealthCheck::default()));
    assert_eq!(upkeep.ejection, Some(Ejection::default()));
    assert_eq!(upkeep.stickiness, Some(Stickiness::default()));
    assert_eq!(
        upkeep.in_flight,
        Some(InFlightLimit {
            most: 7,
            queued: 1000,
            wait: Duration::from_secs(1)
        })
    );
}

#[test]
fn every_key_of_the_tables_is_read() {
    let upkeep = upkeep(
        "health_check = { kind = 'http', path = '/ready?deep=1', interval_ms = 1, timeout_ms = 2, healthy_after = 3, \
         unhealthy_after = 4, expect = '200, 300-301' }\n\
         ejection = { failures = 5, for_ms = 6, max_percent = 7 }\nstickiness = { cookie = 'a', ttl_seconds = 8 }\n\
         max_in_flight = 9\nmax_queued = 10\nqueue_ms = 11",
    );
    let millis = Duration::from_millis;
    assert_eq!(
        upkeep.health_check,
        Some(HealthCheck {
            kind: CheckKind::Http {
                path: "/ready?deep=1".to_owned(),
                expect: Statuses(vec![(200, 200), (300, 301)])
            },
            interval: millis(1),
            timeout: millis(2),
            healthy_after: 3,
            unhealthy_after: 4
        })
    );
    assert_eq!(
        upkeep.ejection,
        Some(Ejection {
            failures: 5,
            time: millis(6),
            max_percent: 7
        })
    );
    assert_eq!(
        upkeep.stickiness,
        Some(Stickiness {
            cookie: "a".to_owned(),
            ttl: Some(Duration::from_secs(8))
        })
    );
    assert_eq!(
        upkeep.in_flight,
        Some(InFlightLimit {
            most: 9,
            queued: 10,
            wait: millis(11)
        })
    );
    let kept = self::upkeep("stickiness = { ttl_seconds = 0 }").stickiness;
    assert_eq!(kept.expect("it is there").ttl, None);
    for (keys, kind) in [
        ("health_check = { kind = 'tcp' }", CheckKind::Tcp),
        (
            "protocol = 'h2'\nhealth_check = { kind = 'grpc' }",
            CheckKind::Grpc,
        ),
    ] {
        let check = self::upkeep(keys).health_check;
        assert_eq!(check.expect("it is there").kind, kind);
    }
}

#[test]
fn statuses_are_in_their_ranges_only() {
    let Some(HealthCheck {
        kind: CheckKind::Http { expect, .. },
        ..
    }) = upkeep("health_check = { expect = '200-204,404' }").health_check
    else {
        panic!("it is a check by HTTP");
    };
    let taken: Vec<u16> = (100..600).filter(|status| expect.contains(*status)).collect();
    assert_eq!(taken, [200, 201, 202, 203, 204, 404]);
}

#[test]
fn key_that_would_have_no_effect_is_refused() {
    assert_eq!(
        refused("max_queued = 5"),
        "`max_queued` in [upstreams]: no request waits in a pool without `max_in_flight`"
    );
    assert_eq!(
        refused("queue_ms = 5"),
        "`queue_ms` in [upstreams]: no request waits in a pool without `max_in_flight`"
    );
    let without_effect = "a check of kind \"tcp\" makes a connection and asks for nothing on it";
    for (key, value) in [("path", "/"), ("expect", "200")] {
        let message = refused(&format!("health_check = {{ kind = 'tcp', {key} = '{value}' }}"));
        assert!(message.ends_with(without_effect), "{message}");
    }
}

#[test]
fn value_that_makes_no_sense_is_refused_with_what_does() {
    for (keys, reason) in [
        ("health_check = { kind = 'grpc' }", "needs `protocol = \"h2\"`"),
        (
            "protocol = 'http/1.1'\nhealth_check = { kind = 'grpc' }",
            "needs `protocol = \"h2\"`",
        ),
        (
            "protocol = 'h2'\nhealth_check = { kind = 'grpc', path = '/' }",
            "for the whole server",
        ),
        (
            "health_check = { kind = 'udp' }",
            "none of \"http\", \"tcp\", \"grpc\"",
        ),
        ("health_check = { path = 'ready' }", "must start with `/`"),
        ("health_check = { path = '/a b' }", "without spaces"),
        ("health_check = { path = '/é' }", "as in a URL"),
        ("health_check = { expect = '' }", "such as \"200-299\""),
        ("health_check = { expect = '299-200' }", "such as \"200-299\""),
        ("health_check = { expect = '100-199' }", "such as \"200-299\""),
        ("health_check = { expect = '200-' }", "such as \"200-299\""),
        ("health_check = { expect = '+20' }", "such as \"200-299\""),
        ("stickiness = { cookie = 'a b' }", "a word without spaces"),
        ("stickiness = { cookie = '' }", "a word without spaces"),
        ("ejection = { max_percent = 0 }", "an integer from 1 to 100"),
        ("max_in_flight = 0", "an integer from 1 to"),
    ] {
        let message = refused(keys);
        assert!(message.contains(reason), "{keys}: {message}");
    }
}

#[test]
fn backend_may_be_a_backup_or_a_unix_socket() {
    let config = config(
        "[[pools]]\nname = 'a'\nbackends = ['app:1', { address = 'unix:/run/a.sock', backup = true, weight = 3 }]\n\
         [[routes]]\npool = 'a'",
    );
    let [app, socket] = &config.pools[0].backends[..] else {
        panic!("there are two");
    };
    assert!(matches!(app.endpoint, Endpoint::Tcp { port: 1, .. }) && !app.is_backup);
    assert_eq!(socket.endpoint, Endpoint::Unix("/run/a.sock".into()));
    assert_eq!(
        (socket.label.as_str(), socket.weight, socket.is_backup),
        ("unix:/run/a.sock", 3, true)
    );
    let twice = only("[upstreams]\nbackends = ['unix:/run/a.sock', 'unix:///run/a.sock']");
    assert!(twice.contains("is already in this pool"), "{twice}");
    let tls = only("[upstreams]\nbackends = ['unix:/run/a.sock']\ntls = { verify = false }");
    assert!(
        tls.contains("no backend of this pool is reached over TLS"),
        "{tls}"
    );
}
