//! Pools that replace others.

use super::*;

#[test]
fn new_pool_whose_names_cannot_be_found_keeps_the_addresses_of_its_predecessor() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let before = replacing(None, &pool(&[("one", 1)]), &world);
    world.0.lock().clear();
    let after = replacing(Some(&before), &pool(&[("gone", 1), ("one", 2)]), &world);
    assert_eq!(labels(&after), ["one:80"]);
    assert!(Arc::ptr_eq(
        after.members().backend(0),
        before.members().backend(0)
    ));
    assert_eq!(after.number, before.number);
}

/// Connections are told apart by these numbers.
#[test]
fn pool_with_another_protocol_and_backend_under_another_name_have_numbers_of_their_own() {
    let world = World::new(&[("a", &["127.0.0.1"]), ("b", &["127.0.0.1"])]);
    let made = |keys: &str, before: Option<&Pool>| replacing(before, &configured(keys), &world);
    let before = made("backends = [\"a:1\"]", None);
    let same = made("backends = [\"a:1\"]\nprotocol = \"auto\"", Some(&before));
    assert_eq!(same.number, before.number);
    let other = made("backends = [\"a:1\"]\nprotocol = \"h2\"", Some(&before));
    assert_ne!(other.number, before.number);
    let two = made("backends = [\"https://a:1\", \"https://b:1\"]", None);
    let members = two.members();
    assert_eq!(members.backend(0).address, members.backend(1).address);
    assert_ne!(members.backend(0).number, members.backend(1).number);
}

#[test]
fn backend_in_a_replaced_pool_keeps_its_load() {
    let before = made(&pool(&[("10.0.0.1", 1), ("10.0.0.2", 1)]));
    let in_flight = place(&before, 1);
    let after = replacing(
        Some(&before),
        &pool(&[("10.0.0.2", 5), ("10.0.0.3", 1)]),
        &World::new(&[]),
    );
    assert_eq!(labels(&after), ["10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(after.members().backend(0).in_flight(), 1);
    assert_eq!(weights(&after), [5, 1]);
    drop(in_flight);
    assert_eq!(after.members().backend(0).in_flight(), 0);
}

/// Labels, weights and other settings may change; what is known belongs to pool and address.
#[test]
fn standing_of_a_backend_survives_a_reload_by_its_address() {
    let world = World::new(&[("app", &["10.0.0.1"])]);
    let keys = "health_check = {}\nejection = { failures = 2 }\n";
    let config = |backends: &str| configured(&format!("backends = [{backends}]\n{keys}"));
    let before = replacing(None, &config("'app:80', '10.0.0.2:80', '10.0.0.3:80'"), &world);
    before.checked(before.members().backend(0), Err("no answer".to_owned()));
    fail(&before, 1, 2);
    before.drain("10.0.0.3:80", true);
    let expected = [Health::Unhealthy, Health::Ejected, Health::Draining];
    assert_eq!(health(&before), expected);

    world.set("app", &["10.0.0.1", "10.0.0.9"]);
    let after = config("'app:80', { address = '10.0.0.2:80', weight = 7 }, '10.0.0.3:80', '10.0.0.4:80'");
    let after = replacing(Some(&before), &after, &world);
    assert_eq!(
        labels(&after),
        [
            "10.0.0.1:80",
            "10.0.0.9:80",
            "10.0.0.2:80",
            "10.0.0.3:80",
            "10.0.0.4:80"
        ]
    );
    assert_eq!(
        health(&after),
        [
            Health::Unhealthy,
            Health::Healthy,
            Health::Ejected,
            Health::Draining,
            Health::Healthy
        ]
    );
    let checks_only = configured("backends = ['10.0.0.1:80', '10.0.0.2:80']\n");
    let without = replacing(Some(&after), &checks_only, &world);
    assert_eq!(
        health(&without),
        [Health::Healthy, Health::Healthy],
        "nobody asks any more"
    );
}
