//! The certificates between a client's and an authority that is trusted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::provider::provider;

/// The certificates by which the first of `presented` leads to one of `roots`, the nearest first, without either end.
///
/// The handshake has found this way, and the library does not keep it: `presented` may have certificates that prove
/// nothing, in any order. The result is empty if there is no such way any more at `now`, because one of the certificates
/// has expired since a session began that was resumed.
pub(super) fn validating(
    presented: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: SystemTime,
) -> Vec<CertificateDer<'static>> {
    let Some((leaf, others)) = presented.split_first() else {
        return Vec::new();
    };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else {
        return Vec::new();
    };
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let path = leaf.verify_for_usage(
        provider().signature_verification_algorithms.all,
        &roots.roots,
        others,
        UnixTime::since_unix_epoch(since_1970),
        KeyUsage::client_auth(),
        None,
        None,
    );
    match path {
        Ok(path) => path
            .intermediate_certificates()
            .map(|certificate| certificate.der().into_owned())
            .collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn chain_has_what_proves_the_certificate_and_nothing_else() {
        let root = testing::authority("root");
        let upper = root.authority("upper");
        let lower = upper.authority("lower");
        let leaf = lower.issue_to(&["me.test"]);
        let stranger = testing::authority("stranger");
        let mut roots = RootCertStore::empty();
        roots.add(root.der()).unwrap();
        let now = SystemTime::now();

        let presented = [leaf.chain[0].clone(), stranger.der(), upper.der(), lower.der()];
        assert_eq!(validating(&presented, &roots, now), [lower.der(), upper.der()]);
        assert!(
            validating(&presented[..3], &roots, now).is_empty(),
            "there is no way"
        );
        let direct = root.issue_to(&["me.test"]);
        let presented = [direct.chain[0].clone(), root.der()];
        assert!(
            validating(&presented, &roots, now).is_empty(),
            "nothing is between"
        );
        assert!(validating(&[], &roots, now).is_empty());
    }
}
