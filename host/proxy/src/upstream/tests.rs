use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::*;
use pace_config::{Config, Overrides};

/// A resolver that knows these names.
struct World(RefCell<Vec<(&'static str, Vec<&'static str>)>>);

impl World {
    fn new(names: &[(&'static str, &[&'static str])]) -> World {
        World(RefCell::new(
            names
                .iter()
                .map(|(name, addresses)| (*name, addresses.to_vec()))
                .collect(),
        ))
    }

    fn set(&self, name: &'static str, addresses: &[&'static str]) {
        let mut names = self.0.borrow_mut();
        names.retain(|(known, _)| *known != name);
        names.push((name, addresses.to_vec()));
    }

    fn lookup(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let names = self.0.borrow();
        let found = names.iter().find(|(known, _)| *known == name);
        let (_, addresses) = found.ok_or(io::ErrorKind::NotFound)?;
        Ok(addresses
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().expect("an address"), port))
            .collect())
    }
}

fn pool(servers: &[(&str, u32)]) -> pace_config::Pool {
    let backend = |(host, weight): &(&str, u32)| match host.contains(':') {
        true => format!("{{ address = \"[{host}]:80\", weight = {weight} }}"),
        false => format!("{{ address = \"{host}:80\", weight = {weight} }}"),
    };
    let backends: Vec<_> = servers.iter().map(backend).collect();
    configured(&format!("backends = [{}]", backends.join(", ")))
}

/// The pool `web`, as a configuration with these keys has it.
pub(crate) fn configured(keys: &str) -> pace_config::Pool {
    let text = format!("[[pools]]\nname = \"web\"\n{keys}\n[[routes]]\npool = \"web\"\n");
    let config = Config::parse(&text, Path::new("test.toml"), &Overrides::default());
    config.expect("it is valid").pools.remove(0)
}

fn labels(pool: &Pool) -> Vec<String> {
    pool.members()
        .backends()
        .map(|backend| backend.label.clone())
        .collect()
}

#[test]
fn name_with_several_addresses_becomes_several_backends() {
    let world = World::new(&[("one", &["10.0.0.1"]), ("two", &["::1", "127.0.0.1", "::1"])]);
    let made = Pool::new(
        &pool(&[("one", 1), ("two", 3), ("10.0.0.9", 2)]),
        None,
        &Metrics::new(),
        None,
        &|host, port| world.lookup(host, port),
    );
    assert_eq!(
        labels(&made),
        ["one:80", "127.0.0.1:80", "[::1]:80", "10.0.0.9:80"]
    );
    let weights: Vec<_> = made.members().list.iter().map(|member| member.weight).collect();
    assert_eq!(weights, [1, 3, 3, 2]);
}

#[test]
fn name_without_address_gets_a_backend_once_an_address_is_found() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let metrics = Metrics::new();
    let lookup: Lookup<'_> = &|host, port| world.lookup(host, port);
    let made = Pool::new(&pool(&[("gone", 1), ("one", 1)]), None, &metrics, None, lookup);
    assert_eq!(labels(&made), ["one:80"]);
    world.set("gone", &["10.0.0.2"]);
    made.look_up(&metrics, lookup);
    assert_eq!(labels(&made), ["gone:80", "one:80"]);
    world.0.borrow_mut().clear();
    made.look_up(&metrics, lookup);
    assert_eq!(
        labels(&made),
        ["gone:80", "one:80"],
        "the last good answer is kept"
    );
}

#[test]
fn version_of_members_changes_only_with_the_members() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let metrics = Metrics::new();
    let lookup: Lookup<'_> = &|host, port| world.lookup(host, port);
    let made = Pool::new(&pool(&[("one", 1)]), None, &metrics, None, lookup);
    let first = made.members();
    made.look_up(&metrics, lookup);
    assert_eq!(made.members().version, first.version);
    world.set("one", &["10.0.0.1", "10.0.0.2"]);
    made.look_up(&metrics, lookup);
    let second = made.members();
    assert_ne!(second.version, first.version);
    assert_eq!(first.list.len(), 1, "a request keeps what it began with");
    world.set("one", &["10.0.0.2", "10.0.0.1", "10.0.0.2"]);
    made.look_up(&metrics, lookup);
    assert_eq!(
        made.members().version,
        second.version,
        "resolvers change the order"
    );
}

#[test]
fn new_pool_whose_names_cannot_be_found_keeps_the_addresses_of_its_predecessor() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let metrics = Metrics::new();
    let before = Pool::new(&pool(&[("one", 1)]), None, &metrics, None, &|host, port| {
        world.lookup(host, port)
    });
    let not_found: Lookup<'_> = &|_, _| Err(io::ErrorKind::NotFound.into());
    let after = Pool::new(
        &pool(&[("gone", 1), ("one", 2)]),
        None,
        &metrics,
        Some(&before),
        not_found,
    );
    assert_eq!(labels(&after), ["one:80"]);
    assert!(std::sync::Arc::ptr_eq(
        after.members().backend(0),
        before.members().backend(0)
    ));
    assert_eq!(after.number, before.number);
}

/// Connections are told apart by these numbers.
#[test]
fn pool_with_another_protocol_and_backend_under_another_name_have_numbers_of_their_own() {
    let made = |keys: &str, before: Option<&Pool>| {
        let lookup: Lookup<'_> = &|_, port| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        Pool::new(&configured(keys), None, &Metrics::new(), before, lookup)
    };
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
    let metrics = Metrics::new();
    let not_found: Lookup<'_> = &|_, _| Err(io::ErrorKind::NotFound.into());
    let before = Pool::new(
        &pool(&[("10.0.0.1", 1), ("10.0.0.2", 1)]),
        None,
        &metrics,
        None,
        not_found,
    );
    let in_flight = InFlight::begin(before.members().backend(1));
    let after = Pool::new(
        &pool(&[("10.0.0.2", 5), ("10.0.0.3", 1)]),
        None,
        &metrics,
        Some(&before),
        not_found,
    );
    assert_eq!(labels(&after), ["10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(after.members().backend(0).in_flight(), 1);
    assert_eq!(after.members().member(0).weight, 5);
    drop(in_flight);
    assert_eq!(after.members().backend(0).in_flight(), 0);
}
