//! The keys of the balancers on the page compared with the plugins.

use std::collections::{BTreeMap, BTreeSet};

use pace_tests::Setup;

use super::page::{Page, code};

/// The mistake in a balancer's settings, according to `pace check`, which is empty without one.
fn mistake(balancer: &str, settings: &str) -> String {
    let config = format!(
        "[[plugins]]\nname = 'balance'\nwasm = 'builtin:{balancer}'\nconfig = {{ {settings} }}\n\
         [[pools]]\nname = 'web'\nbackends = ['127.0.0.1:1']\n[[routes]]\npool = 'web'\nplugins = ['balance']\n"
    );
    Setup::new().args(["check"]).config(&config).run().stderr
}

#[test]
fn keys_of_balancers_on_the_page_are_those_of_the_plugins() {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut balancer = String::new();
    for row in Page::of("docs/configuration.md").table("| balancer | key | default | allowed | |") {
        if let Some(name) = code(&row[0]).pop() {
            balancer = name;
        }
        let (key, default) = (code(&row[1]).remove(0), code(&row[2]).remove(0));
        assert_eq!(mistake(&balancer, &format!("{key} = {default}")), "", "{key}");
        if let Some(least) = row[3]
            .split(" to ")
            .next()
            .and_then(|least| least.parse::<u64>().ok())
        {
            let message = mistake(&balancer, &format!("{key} = {}", least - 1));
            assert!(message.contains(&format!("{key}: ")), "{message}");
            assert!(message.contains(&format!("{least} to ")), "{message}");
        }
        documented.entry(balancer.clone()).or_default().insert(key);
    }
    for balancer in ["round-robin", "least-request", "peak-ewma", "consistent-hash"] {
        let message = mistake(balancer, "zzz = 1");
        let (_, known) = message
            .split_once("unknown field `zzz`, ")
            .unwrap_or_else(|| panic!("no list of keys in: {message}"));
        let known: BTreeSet<String> = code(known).into_iter().collect();
        assert_eq!(
            documented.remove(balancer).unwrap_or_default(),
            known,
            "{balancer}"
        );
    }
    assert!(documented.is_empty(), "{documented:?}");
}
