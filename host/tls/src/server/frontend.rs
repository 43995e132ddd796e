//! The TLS of a listener: its certificates, versions and protocols, and its demands on clients.

use std::sync::Arc;

use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::client_certificates::{ClientAuthorities, ClientCertificates, demand};
use super::served::{Group, Served, groups, resolver};
use super::tickets::Tickets;
use crate::acme::Challenges;
use crate::alpn::Alpn;
use crate::names::Names;
use crate::pair::Pair;
use crate::pem::{Pem, PemError};
use crate::provider::{Version, provider};

/// The settings of a listener's TLS.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The oldest version that is spoken.
    pub min_version: Version,
    /// The offered protocols, best first. A client that uses ALPN without any of these is refused; one that does not
    /// use ALPN is not.
    pub alpn: &'a [Alpn],
    /// Whether clients are asked for certificates, unless a site says otherwise.
    pub client_certificates: ClientCertificates,
    /// The authorities that may issue clients' certificates.
    pub client_ca: Option<Pem<'a>>,
    /// Whether handshakes find [`Facts::client_chain`](super::Facts::client_chain), which verifies each certificate of a
    /// client a second time.
    pub client_chains: bool,
    /// The certificates. The list may be empty if an authority will issue one: until then every handshake fails with
    /// [`Reason::NoCertificate`](super::Reason::NoCertificate), except those of the authority.
    pub sites: Vec<Site>,
}

/// A certificate of a listener, served under the names in it. Several sites may have the same names and keys of different
/// kinds: clients that can verify ECDSA get that one, and all others the one with RSA.
#[derive(Clone, Debug)]
pub struct Site {
    /// Chain and key.
    pub pair: Arc<Pair>,
    /// Whether the certificate serves clients that ask for another name, or for none. Without a default the first one
    /// does.
    pub default: bool,
    /// The demand on clients under these names, if it differs from the listener's.
    pub client_certificates: Option<ClientCertificates>,
}

/// A reason why a listener cannot speak TLS as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontendError {
    /// The file of authorities cannot be read as such.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate in the file belongs to no authority.
    #[error("{file}: not usable as an authority of client certificates: {why}")]
    ClientCa {
        /// The file.
        file: String,
        /// The fault.
        why: String,
    },
    /// Certificates are demanded, and there is no authority that could issue them.
    #[error("client_certificates = \"{}\" needs client_ca, the authorities that issue them", .0.name())]
    NoClientCa(ClientCertificates),
    /// Authorities are named, and no certificate is asked for, so nothing would be enforced.
    #[error(
        "client_ca has no effect while client_certificates is \"none\": say \"optional\" or \"required\""
    )]
    UnusedClientCa,
    /// More than one certificate is the default.
    #[error("{0} certificates of one listener have `default = true`; one can")]
    SeveralDefaults(usize),
    /// Certificates for the same name demand different things of clients, and a client could choose between them.
    #[error(
        "two certificates for {name} ask for different things of clients: {one} and {other}; say the same `client_certificates` in both"
    )]
    Contradiction {
        /// The name.
        name: String,
        /// The demand of the first of them.
        one: &'static str,
        /// The demand of another one.
        other: &'static str,
    },
    /// The library refuses the settings, or the system has no random numbers.
    #[error("TLS: {0}")]
    Library(String),
}

/// The TLS of a listener. It never changes: a reload makes another one, with the same [`Tickets`].
#[derive(Debug)]
pub struct Frontend {
    pairs: Vec<Arc<Pair>>,
    served: Names<Served>,
    /// Whether all names demand the same of clients' certificates, as nearly always.
    has_one_policy: bool,
    /// The configuration for clients as long as there is no certificate.
    without: Arc<ServerConfig>,
    challenges: Option<Arc<Challenges>>,
    roots_of_chains: Option<Arc<RootCertStore>>,
}

/// The configuration for one client.
pub(super) enum Choice {
    /// The configuration of a name, or the default.
    Site(Arc<ServerConfig>),
    /// The configuration that answers an authority, which wants nothing but the handshake.
    Challenge(Arc<ServerConfig>),
    /// The configuration that fails, because there is no certificate.
    Nothing(Arc<ServerConfig>),
}

impl Frontend {
    /// Makes the configurations for all names. `challenges` are the open ones of the authority that issues
    /// certificates for this listener's names, if one does.
    ///
    /// # Errors
    ///
    /// Contradictory settings are errors, see [`FrontendError`].
    pub fn new(
        settings: Settings<'_>,
        tickets: &Tickets,
        challenges: Option<Arc<Challenges>>,
    ) -> Result<Frontend, FrontendError> {
        let defaults = settings.sites.iter().filter(|site| site.default).count();
        if defaults > 1 {
            return Err(FrontendError::SeveralDefaults(defaults));
        }
        let authorities = settings.client_ca.map(ClientAuthorities::read).transpose()?;
        let demanded = |site: &Site| site.client_certificates.unwrap_or(settings.client_certificates);
        let asks = |case| case != ClientCertificates::None;
        let anywhere =
            asks(settings.client_certificates) || settings.sites.iter().any(|site| asks(demanded(site)));
        if authorities.is_some() && !anywhere {
            return Err(FrontendError::UnusedClientCa);
        }
        if authorities.is_none() && asks(settings.client_certificates) {
            // This is an error even if every site says otherwise, or there is no site yet.
            return Err(FrontendError::NoClientCa(settings.client_certificates));
        }
        let names_of = |site: &Site| site.pair.certificate().dns_names().map(str::to_owned).collect();
        let names: Vec<Vec<String>> = settings.sites.iter().map(names_of).collect();
        let default = settings.sites.iter().position(|site| site.default);
        let mut served = Vec::new();
        for group in groups(&names, default.unwrap_or(0)) {
            let case = demanded_by(&group, |site| demanded(&settings.sites[site]))?;
            let made = serve(&settings, &group, case, authorities.as_ref(), tickets)?;
            served.push((made, group.names, group.is_default));
        }
        let mut policies = served.iter().map(|(served, _, _)| &served.policy);
        let first = policies.next();
        Ok(Frontend {
            pairs: settings.sites.iter().map(|site| site.pair.clone()).collect(),
            has_one_policy: policies.all(|policy| Some(policy) == first),
            served: Names::new(served),
            roots_of_chains: authorities
                .filter(|_| settings.client_chains)
                .map(|authorities| authorities.roots().clone()),
            without: Arc::new(config(&settings, Arc::new(NoCertificate))?),
            challenges,
        })
    }

    /// The certificates, in the order of the settings.
    pub fn pairs(&self) -> impl Iterator<Item = &Arc<Pair>> {
        self.pairs.iter()
    }

    /// The authorities of clients, if the chains of clients are wanted.
    pub(super) fn roots_of_chains(&self) -> Option<&RootCertStore> {
        self.roots_of_chains.as_deref()
    }

    /// Whether a request for `host` may come over a connection whose client asked for `server_name` in its handshake.
    /// It may if both names demand the same of the client's certificate; otherwise the answer is 421 (RFC 9110
    /// section 15.5.20).
    pub fn serves_together(&self, server_name: Option<&str>, host: &str) -> bool {
        if self.has_one_policy {
            return true;
        }
        match (self.served.find(server_name), self.served.find(Some(host))) {
            (Some(connection), Some(request)) => connection.policy == request.policy,
            // The handshake succeeded, so its certificate belongs to an older frontend.
            _ => true,
        }
    }

    pub(super) fn choose(&self, hello: &ClientHello<'_>) -> Choice {
        if let Some(challenges) = &self.challenges
            && asks_for_challenge(hello)
            && let Some(config) = hello.server_name().and_then(|name| challenges.tls_alpn(name))
        {
            return Choice::Challenge(config);
        }
        match self.served.find(hello.server_name()) {
            Some(served) => Choice::Site(served.config.clone()),
            None => Choice::Nothing(self.without.clone()),
        }
    }
}

/// The demand on clients under the names of a group, which is the same whichever of its certificates they get.
fn demanded_by(
    group: &Group,
    demanded: impl Fn(usize) -> ClientCertificates,
) -> Result<ClientCertificates, FrontendError> {
    let one = demanded(group.sites[0]);
    match group
        .sites
        .iter()
        .map(|site| demanded(*site))
        .find(|case| *case != one)
    {
        None => Ok(one),
        Some(other) => Err(FrontendError::Contradiction {
            name: group.names.first().cloned().unwrap_or_default(),
            one: one.name(),
            other: other.name(),
        }),
    }
}

fn serve(
    settings: &Settings<'_>,
    group: &Group,
    case: ClientCertificates,
    authorities: Option<&ClientAuthorities>,
    tickets: &Tickets,
) -> Result<Served, FrontendError> {
    let (verifier, policy) = demand(case, authorities)?;
    let keys = group
        .sites
        .iter()
        .map(|site| settings.sites[*site].pair.certified_key());
    let mut config = builder(settings)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver(keys.collect()));
    finish(&mut config, settings);
    config.ticketer = tickets.of(policy).map_err(library)?;
    Ok(Served {
        config: Arc::new(config),
        policy,
    })
}

fn config(
    settings: &Settings<'_>,
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, FrontendError> {
    let mut config = builder(settings)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    finish(&mut config, settings);
    Ok(config)
}

fn builder(
    settings: &Settings<'_>,
) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, FrontendError> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(settings.min_version.and_later())
        .map_err(library)
}

fn finish(config: &mut ServerConfig, settings: &Settings<'_>) {
    config.alpn_protocols = Alpn::wire(settings.alpn);
    // Tickets need no memory here. Sessions by number would, and would not survive a reload.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    // A client that must identify itself has not done so yet when half-RTT data would be sent.
    config.send_half_rtt_data = false;
    config.max_early_data_size = 0;
}

fn library(error: rustls::Error) -> FrontendError {
    FrontendError::Library(error.to_string())
}

/// Whether the client is an authority, which offers `acme-tls/1` and nothing else (RFC 8737 section 3).
fn asks_for_challenge(hello: &ClientHello<'_>) -> bool {
    let Some(mut alpn) = hello.alpn() else {
        return false;
    };
    alpn.next() == Some(crate::acme::TLS_ALPN) && alpn.next().is_none()
}

/// A resolver without a certificate, which ends each handshake with an alert.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
