//! The certificates under a name: those that have it, and the one among them that a client can verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm};

use super::client_certificates::Policy;

/// The configuration for clients under some names.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) config: Arc<ServerConfig>,
    pub(super) policy: Policy,
}

/// Sites that are served together, because their certificates have the same names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The places of the sites among all, in order; at least one.
    pub(super) sites: Vec<usize>,
    pub(super) names: Vec<String>,
    /// Whether the group is for clients that ask for another name, or for none.
    pub(super) is_default: bool,
}

/// Divides names among groups: each name leads to one group, which has every site of that name. `sites` has the names of
/// each site, and `default` is the default among them.
pub(super) fn groups(sites: &[Vec<String>], default: usize) -> Vec<Group> {
    let mut names: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (site, of_site) in sites.iter().enumerate() {
        for name in of_site {
            let place = *places.entry(name).or_insert_with(|| {
                names.push((name, Vec::new()));
                names.len() - 1
            });
            let having = &mut names[place].1;
            if having.last() != Some(&site) {
                having.push(site);
            }
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut add = |sites: Vec<usize>, name: Option<&str>, is_default: bool| {
        let place = *known.entry(sites.clone()).or_insert_with(|| {
            groups.push(Group {
                sites,
                names: Vec::new(),
                is_default: false,
            });
            groups.len() - 1
        });
        groups[place].names.extend(name.map(str::to_owned));
        groups[place].is_default |= is_default;
    };
    for (name, having) in names {
        add(having, Some(name), false);
    }
    if let Some(of_default) = sites.get(default) {
        let is_same = |names: &Vec<String>| {
            !names.is_empty()
                && names.iter().all(|name| of_default.contains(name))
                && of_default.iter().all(|name| names.contains(name))
        };
        let together = sites.iter().enumerate();
        let together = together.filter(|(site, names)| *site == default || is_same(names));
        add(together.map(|(site, _)| site).collect(), None, true);
    }
    groups
}

/// Gives each client a certificate that it can verify.
pub(super) fn resolver(mut keys: Vec<Arc<CertifiedKey>>) -> Arc<dyn ResolvesServerCert> {
    match &keys[..] {
        [only] => Arc::new(SingleCertAndKey::from(Arc::clone(only))),
        _ => {
            // A signature with RSA takes 20 times as long as one with ECDSA.
            keys.sort_by_key(|certified| certified.key.algorithm() == SignatureAlgorithm::RSA);
            Arc::new(BySignature(keys))
        }
    }
}

/// Certificates for the same names, the preferred first.
#[derive(Debug)]
struct BySignature(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for BySignature {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        // With one that does not fit, the handshake fails for the reason that it has.
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(sites: &[usize], names: &[&str], is_default: bool) -> Group {
        Group {
            sites: sites.to_vec(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            is_default,
        }
    }

    fn of(sites: &[&[&str]], default: usize) -> Vec<Group> {
        let names = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let sites: Vec<Vec<String>> = sites.iter().map(names).collect();
        groups(&sites, default)
    }

    #[test]
    fn sites_with_names_of_their_own_are_groups_of_their_own() {
        assert_eq!(
            of(&[&["a", "b"], &["c"]], 1),
            [group(&[0], &["a", "b"], false), group(&[1], &["c"], true)]
        );
        assert_eq!(of(&[], 0), []);
    }

    #[test]
    fn sites_with_the_same_names_are_one_group_in_any_order_of_names() {
        assert_eq!(
            of(&[&["a", "b"], &["b", "a", "b"]], 0),
            [group(&[0, 1], &["a", "b"], true)]
        );
    }

    #[test]
    fn name_that_two_sites_have_leads_to_both_and_others_to_theirs() {
        assert_eq!(
            of(&[&["a", "b"], &["b", "c"]], 0),
            [
                group(&[0], &["a"], true),
                group(&[0, 1], &["b"], false),
                group(&[1], &["c"], false),
            ]
        );
        assert_eq!(
            of(&[&["a"], &["a", "b"]], 0),
            [
                group(&[0, 1], &["a"], false),
                group(&[1], &["b"], false),
                group(&[0], &[], true),
            ]
        );
    }

    #[test]
    fn default_without_names_is_alone() {
        assert_eq!(
            of(&[&["a"], &[], &[]], 1),
            [group(&[0], &["a"], false), group(&[1], &[], true)]
        );
    }
}
