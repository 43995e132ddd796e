//! Backends that get requests only while no other is healthy.

use pace_tests::{HttpBackend, Pace};

use super::tell;
use crate::sections::{EVERYTHING, SERVER};

fn start(primary: &HttpBackend, backup: &HttpBackend, keys: &str) -> Pace {
    Pace::with_config(&format!(
        "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['{}', {{ address = '{}', backup = true }}]\n{keys}\n\n{EVERYTHING}",
        primary.label(),
        backup.label()
    ))
}

#[test]
fn backup_gets_requests_only_while_no_other_backend_is_healthy() {
    let (mut primary, backup) = (HttpBackend::named("primary"), HttpBackend::named("backup"));
    let checks = "health_check = { interval_ms = 20, kind = 'tcp' }";
    let pace = start(&primary, &backup, checks);
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "primary");
    }
    primary.stop();
    pace.wait_for_health(&primary.label(), "unhealthy");
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "backup");
    }
    primary.start();
    pace.wait_for_health(&primary.label(), "healthy");
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "primary");
    }
}

#[test]
fn backup_stands_in_for_backends_that_are_ejected_or_drain() {
    let (down, backup) = (HttpBackend::down(), HttpBackend::named("backup"));
    let pace = start(&down, &backup, "ejection = { failures = 1, for_ms = 60000 }");
    // The first attempt finds out, and the second finds the backup.
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "backup");
    }
    let (primary, backup) = (HttpBackend::named("primary"), HttpBackend::named("backup"));
    let pace = start(&primary, &backup, "");
    assert_eq!(pace.get("/").text(), "primary");
    tell(&pace, &primary.label(), "drain");
    assert_eq!(pace.get("/").text(), "backup");
    tell(&pace, &primary.label(), "enable");
    assert_eq!(pace.get("/").text(), "primary");
}
