use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trusting(networks: &[&str]) -> TrustedProxies {
    networks
        .iter()
        .map(|network| network.parse::<IpNet>().unwrap())
        .collect()
}

/// The address of the client, found from these fields of a trusted peer, 10.0.0.1.
fn client(fields: &[&str]) -> IpAddr {
    let trusted = trusting(&["10.0.0.0/8", "2001:db8:a::/48"]);
    client_address(
        ip("10.0.0.1"),
        &trusted,
        fields.iter().map(|field| field.as_bytes()),
    )
}

fn forwarded(peer: &str, fields: &[&str]) -> String {
    let trusted = trusting(&["10.0.0.0/8"]);
    let value = forwarded_for(ip(peer), &trusted, || fields.iter().map(|field| field.as_bytes()));
    value.unwrap().to_str().unwrap().to_owned()
}

#[test]
fn untrusted_peer_is_the_client() {
    let spoofed = || [&b"192.0.2.1"[..]].into_iter();
    let peer = ip("198.51.100.9");
    assert_eq!(client_address(peer, &TrustedProxies::default(), spoofed()), peer);
    assert_eq!(
        client_address(peer, &trusting(&["10.0.0.0/8", "::/0"]), spoofed()),
        peer
    );
    assert_eq!(
        client_address(ip("::ffff:198.51.100.9"), &TrustedProxies::default(), spoofed()),
        peer
    );
}

#[test]
fn trusted_peer_names_the_client() {
    assert_eq!(client(&[]), ip("10.0.0.1"));
    assert_eq!(client(&["192.0.2.7"]), ip("192.0.2.7"));
    assert_eq!(client(&["2001:db8::7"]), ip("2001:db8::7"));
    assert_eq!(client(&["::ffff:192.0.2.7"]), ip("192.0.2.7"));
    let mapped = client_address(
        ip("::ffff:10.0.0.1"),
        &trusting(&["10.0.0.0/8"]),
        [&b"192.0.2.7"[..]].into_iter(),
    );
    assert_eq!(mapped, ip("192.0.2.7"));
}

#[test]
fn last_untrusted_address_is_the_client() {
    assert_eq!(client(&["203.0.113.66, 192.0.2.7"]), ip("192.0.2.7"));
    assert_eq!(client(&["203.0.113.66, 192.0.2.7, 10.2.3.4"]), ip("192.0.2.7"));
    assert_eq!(
        client(&["203.0.113.66", "192.0.2.7, 2001:db8:a::1", "::ffff:10.9.9.9"]),
        ip("192.0.2.7")
    );
    assert_eq!(client(&["10.0.0.5, 192.0.2.7"]), ip("192.0.2.7"));
}

#[test]
fn leftmost_address_is_the_client_if_all_are_trusted() {
    assert_eq!(client(&["10.0.0.5, 10.0.0.6", "10.0.0.7"]), ip("10.0.0.5"));
}

#[test]
fn entry_that_is_no_address_makes_its_writer_the_client() {
    for nonsense in [
        "unknown",
        "_hidden",
        "\"192.0.2.7\"",
        "192.0.2",
        "192.0.2.7 192.0.2.8",
        "\u{e9}",
        "010.0.0.1",
    ] {
        assert_eq!(client(&["192.0.2.7", nonsense]), ip("10.0.0.1"), "{nonsense}");
        assert_eq!(
            client(&[&format!("192.0.2.7, {nonsense}, 10.0.0.5")]),
            ip("10.0.0.5"),
            "{nonsense}"
        );
    }
}

#[test]
fn entry_with_port_brackets_or_space_is_read() {
    for entry in [
        "192.0.2.7:80",
        " 192.0.2.7",
        "\t192.0.2.7 \t",
        "192.0.2.7:65535",
        "192.0.2.7, ,",
        ",,192.0.2.7:0,",
    ] {
        assert_eq!(client(&[entry]), ip("192.0.2.7"), "{entry:?}");
    }
    for entry in ["[2001:db8::7]", "[2001:db8::7]:443", "2001:db8::7"] {
        assert_eq!(client(&[entry]), ip("2001:db8::7"), "{entry:?}");
    }
    for entry in [
        "192.0.2.7:",
        "192.0.2.7:+80",
        "192.0.2.7:65536",
        "192.0.2.7:http",
        "[192.0.2.7]",
        "[192.0.2.7]:80",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[2001:db8::7]:",
        "[fe80::1%1]:80",
        "[",
        ":80",
    ] {
        assert_eq!(client(&[entry]), ip("10.0.0.1"), "{entry:?}");
    }
}

#[test]
fn mapped_network_is_an_ipv4_network() {
    let trusted = trusting(&["::ffff:10.0.0.0/104", "::ffff:192.0.2.7/128"]);
    assert!(trusted.contains(ip("10.255.0.1")));
    assert!(trusted.contains(ip("::ffff:10.255.0.1")));
    assert!(trusted.contains(ip("192.0.2.7")));
    assert!(!trusted.contains(ip("192.0.2.8")));
    assert!(!trusting(&["::/0"]).contains(ip("::ffff:10.0.0.1")));
    assert!(trusting(&["::ffff:0.0.0.0/96"]).contains(ip("10.0.0.1")));
    assert!(TrustedProxies::default().is_empty());
}

#[test]
fn forwarded_for_has_the_fields_of_trusted_peers_only() {
    assert_eq!(forwarded("198.51.100.9", &["192.0.2.7"]), "198.51.100.9");
    assert_eq!(forwarded("::ffff:198.51.100.9", &[]), "198.51.100.9");
    assert_eq!(forwarded("10.0.0.1", &[]), "10.0.0.1");
    assert_eq!(forwarded("10.0.0.1", &["192.0.2.7"]), "192.0.2.7, 10.0.0.1");
    assert_eq!(
        forwarded("10.0.0.1", &["192.0.2.7, unknown ", "", " ", "10.0.0.4"]),
        "192.0.2.7, unknown, 10.0.0.4, 10.0.0.1"
    );
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::V4),
        any::<Ipv6Addr>().prop_map(IpAddr::V6),
        any::<Ipv4Addr>().prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
        any::<[u8; 3]>().prop_map(|[a, b, c]| Ipv4Addr::new(10, a, b, c).into()),
    ]
}

/// Fields that a client may send: any bytes, characters of addresses, and lists of addresses.
fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "[0-9a-f.:,\\[\\]% ]{0,60}".prop_map(String::into_bytes),
        proptest::collection::vec(address(), 0..5).prop_map(|list| list
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(", ")
            .into_bytes()),
    ]
}

fn fields() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(field(), 0..4)
}

proptest! {
    #[test]
    fn untrusted_peer_is_the_client_whatever_it_sends(peer in address(), fields in fields()) {
        let trusted = trusting(&["10.0.0.0/8"]);
        let peer = if trusted.contains(peer) { ip("2001:db8::1") } else { peer };
        prop_assert_eq!(client_address(peer, &trusted, fields.iter().map(Vec::as_slice)), peer.to_canonical());

        let value = forwarded_for(peer, &trusted, || fields.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(value, peer.to_canonical().to_string());
    }

    #[test]
    fn fields_that_a_client_prepends_do_not_change_its_address(
        real in address(),
        proxies in proptest::collection::vec(any::<[u8; 3]>(), 0..4),
        spoofed in fields(),
        joined in any::<bool>(),
    ) {
        let trusted = trusting(&["10.0.0.0/8"]);
        let real = if trusted.contains(real) { ip("2001:db8::1") } else { real };
        let mut written = real.to_string();
        for [a, b, c] in proxies {
            written += &format!(", 10.{a}.{b}.{c}");
        }
        // The first proxy appends to the client's last field, or adds a field of its own.
        let mut fields = spoofed;
        match fields.last_mut() {
            Some(last) if joined => last.extend(format!(", {written}").bytes()),
            _ => fields.push(written.into_bytes()),
        }
        let client = client_address(ip("10.0.0.1"), &trusted, fields.iter().map(Vec::as_slice));
        prop_assert_eq!(client, real.to_canonical());
    }

    #[test]
    fn next_proxy_finds_the_same_client(peer in address(), fields in fields()) {
        let trusted = trusting(&["10.0.0.0/8"]);
        let client = client_address(peer, &trusted, fields.iter().map(Vec::as_slice));

        let Ok(value) = forwarded_for(peer, &trusted, || fields.iter().map(Vec::as_slice)) else {
            return Err(TestCaseError::reject("no header can have these fields"));
        };

        prop_assert_eq!(client_address(ip("10.0.0.99"), &trusted, [value.as_bytes()].into_iter()), client);
    }
}
