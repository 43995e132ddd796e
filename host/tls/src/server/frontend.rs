//! What a listener speaks: its certificates, versions and protocols, and what it asks of clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::client_certificates::{ClientAuthorities, ClientCertificates, Policy, demand};
use super::tickets::Tickets;
use crate::acme::Challenges;
use crate::alpn::Alpn;
use crate::names::Names;
use crate::pair::Pair;
use crate::pem::{Pem, PemError};
use crate::provider::{Version, provider};

/// How a listener is to speak TLS.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The oldest version that is spoken.
    pub min_version: Version,
    /// The protocols that are offered, best first. A client that knows ALPN and none of these is refused; one that does not
    /// know ALPN is not.
    pub alpn: &'a [Alpn],
    /// Whether clients are asked for certificates, unless a site says otherwise.
    pub client_certificates: ClientCertificates,
    /// The authorities by one of which clients' certificates have to be issued.
    pub client_ca: Option<Pem<'a>>,
    /// The certificates. There may be none yet, if an authority will issue one: until then every handshake fails with
    /// [`Reason::NoCertificate`](super::Reason::NoCertificate), but for those of the authority.
    pub sites: Vec<Site>,
}

/// A certificate of a listener, served under the names in it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Chain and key.
    pub pair: Arc<Pair>,
    /// It is for clients that ask for another name, or for none. If no site is, the first one is.
    pub default: bool,
    /// What is asked of clients under these names, if that differs from the listener.
    pub client_certificates: Option<ClientCertificates>,
}

/// Why a listener cannot speak TLS as it is told to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontendError {
    /// The file of authorities cannot be read as such.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate in it is none of an authority.
    #[error("{file}: not usable as an authority of client certificates: {why}")]
    ClientCa {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Certificates are asked for, and nobody can issue them.
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
    /// The library refuses what it is told, or the system has no random numbers.
    #[error("TLS: {0}")]
    Library(String),
}

/// A listener's way to speak TLS. It never changes: a reload makes another one, with the same [`Tickets`].
#[derive(Debug)]
pub struct Frontend {
    served: Names<Served>,
    /// Whether all names ask the same of clients' certificates, as nearly always.
    has_one_policy: bool,
    /// For clients as long as there is no certificate.
    without: Arc<ServerConfig>,
    challenges: Option<Arc<Challenges>>,
}

#[derive(Debug)]
struct Served {
    pair: Arc<Pair>,
    config: Arc<ServerConfig>,
    policy: Policy,
}

/// The configuration for one client, and what follows from it.
pub(super) enum Choice {
    /// That of a name, or the default.
    Site(Arc<ServerConfig>),
    /// The one that answers an authority, which wants nothing but the handshake.
    Challenge(Arc<ServerConfig>),
    /// None: there is no certificate.
    Nothing(Arc<ServerConfig>),
}

impl Frontend {
    /// Makes the configurations for all names. `challenges` are those of the certificates that an authority issues for this
    /// listener's names, if it does.
    ///
    /// # Errors
    ///
    /// Settings that contradict each other, see [`FrontendError`].
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
            // Said even if every site says otherwise, or there is none yet.
            return Err(FrontendError::NoClientCa(settings.client_certificates));
        }
        let mut served = Vec::with_capacity(settings.sites.len());
        for site in &settings.sites {
            let names = site.pair.certificate().dns_names().collect();
            let made = Served::new(&settings, site, demanded(site), authorities.as_ref(), tickets)?;
            served.push((made, names, site.default));
        }
        let mut policies = served.iter().map(|(served, _, _)| &served.policy);
        let first = policies.next();
        Ok(Frontend {
            has_one_policy: policies.all(|policy| Some(policy) == first),
            served: Names::new::<&str>(served),
            without: Arc::new(config(&settings, Arc::new(NoCertificate))?),
            challenges,
        })
    }

    /// The certificates, in the order of the settings.
    pub fn pairs(&self) -> impl Iterator<Item = &Arc<Pair>> {
        self.served.iter().map(|served| &served.pair)
    }

    /// Whether a request for `host` may come over a connection whose client asked for `server_name` in its handshake. It may
    /// if the same was asked of the client's certificate; otherwise the answer is 421 (RFC 9110 section 15.5.20).
    pub fn serves_together(&self, server_name: Option<&str>, host: &str) -> bool {
        if self.has_one_policy {
            return true;
        }
        match (self.served.find(server_name), self.served.find(Some(host))) {
            (Some(connection), Some(request)) => connection.policy == request.policy,
            // The handshake went through, so the certificate it was made with belongs to an older frontend.
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

impl Served {
    fn new(
        settings: &Settings<'_>,
        site: &Site,
        case: ClientCertificates,
        authorities: Option<&ClientAuthorities>,
        tickets: &Tickets,
    ) -> Result<Served, FrontendError> {
        let (verifier, policy) = demand(case, authorities)?;
        let resolver = Arc::new(SingleCertAndKey::from(site.pair.certified_key()));
        let mut config = builder(settings)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        finish(&mut config, settings);
        config.ticketer = tickets.of(policy).map_err(library)?;
        Ok(Served {
            pair: site.pair.clone(),
            config: Arc::new(config),
            policy,
        })
    }
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
    // A client that has to prove who it is has not done so yet when half-RTT data would be sent.
    config.send_half_rtt_data = false;
    config.max_early_data_size = 0;
}

fn library(error: rustls::Error) -> FrontendError {
    FrontendError::Library(error.to_string())
}

/// RFC 8737 section 3: the authority offers `acme-tls/1` and nothing else.
fn asks_for_challenge(hello: &ClientHello<'_>) -> bool {
    let Some(mut alpn) = hello.alpn() else {
        return false;
    };
    alpn.next() == Some(crate::acme::TLS_ALPN) && alpn.next().is_none()
}

/// Ends each handshake with an alert.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
