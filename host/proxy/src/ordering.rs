//! Certificates that are ordered from an authority (ACME, RFC 8555), beside everything else.

use std::sync::Arc;

use log::{info, warn};
use pace_base::file;
use pace_config::Config;
use pace_tls::acme::schedule::Schedule;
use pace_tls::acme::{Acme, AcmeError, ChallengeKind, Settings, Status, Watched};
use tokio::sync::watch;

use crate::listeners::{Listeners, describe};
use crate::reload::Reloader;
use crate::snapshot::Shared;

/// An order of a certificate, and the renewals that follow it. Nothing is sent before it [runs](Ordering::run).
pub struct Ordering {
    acme: Acme,
    watched: Watched,
    names: String,
}

/// Why no certificate can be ordered.
#[derive(Debug, thiserror::Error)]
pub enum OrderingError {
    /// The authority that vouches for the other one cannot be read.
    #[error("[acme] root_ca: {0}")]
    RootCa(String),
    /// The settings or the directory with the state are not usable.
    #[error("[acme]: {0}")]
    Acme(#[from] AcmeError),
}

/// The most bytes of a file with roots.
const MAX_FILE: u64 = 4 << 20;

impl Ordering {
    /// Looks at what `[acme]` says, and at the certificate of an earlier process. Listeners get that one.
    pub fn open(config: &Config, listeners: &Listeners) -> Result<Option<Ordering>, OrderingError> {
        let Some(acme) = &config.acme else {
            return Ok(None);
        };
        let root_ca = match &acme.root_ca {
            None => None,
            Some(path) => {
                let name = path.display().to_string();
                let bytes = file::read(path, MAX_FILE)
                    .map_err(|error| OrderingError::RootCa(format!("cannot read {name}: {error}")))?;
                Some((name, bytes))
            }
        };
        let is_plain = config.listeners.iter().any(|listener| listener.tls.is_none());
        let challenges = [
            (ChallengeKind::Http01, is_plain),
            (ChallengeKind::TlsAlpn01, true),
        ];
        let settings = Settings {
            directory: acme.directory.clone(),
            email: acme.email.clone(),
            names: acme.names.clone(),
            state_dir: acme.state_dir.clone(),
            root_ca,
            challenges: challenges
                .into_iter()
                .filter_map(|(kind, can_be_answered)| can_be_answered.then_some(kind))
                .collect(),
            schedule: Schedule::default(),
        };
        let (acme, watched) = Acme::open(settings, Arc::clone(listeners.challenges()))?;
        listeners.set_ordered(watched.certificate.borrow().clone());
        Ok(Some(Ordering {
            acme,
            watched,
            names: config
                .acme
                .iter()
                .flat_map(|acme| &acme.names)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        }))
    }

    /// Orders and renews for as long as the process lives.
    pub(crate) async fn run(self, environment: Arc<Shared>, reloader: Reloader) {
        let Ordering { acme, watched, names } = self;
        let Watched {
            mut certificate,
            status,
        } = watched;
        tokio::spawn(acme.run());
        tokio::spawn(tell(status, Arc::clone(&environment), names));
        while certificate.changed().await.is_ok() {
            let pair = certificate.borrow_and_update().clone();
            if let Some(pair) = &pair {
                info!(target: "pace::server", "the authority has issued the certificate of {}", describe(pair));
            }
            environment.listeners.set_ordered(pair);
            reloader.renew_certificates_soon();
        }
    }
}

/// Says what goes wrong, and counts it.
async fn tell(mut status: watch::Receiver<Status>, environment: Arc<Shared>, names: String) {
    let mut said = 0;
    loop {
        {
            let status = status.borrow_and_update();
            environment.metrics.set_order_failures(status.failures);
            if let Some(failure) = status.last_failure.as_ref().filter(|_| status.failures > said) {
                let again = status.next_attempt.map(httpdate::fmt_http_date);
                warn!(
                    target: "pace::server",
                    "the authority has not issued the certificate for {names}: {}; the next attempt is at {}",
                    failure.why,
                    again.unwrap_or_default(),
                );
            }
            said = status.failures;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
