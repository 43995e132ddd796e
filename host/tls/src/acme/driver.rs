//! Orders a certificate, stores it, and renews it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{Account, AccountCredentials, CertificateIdentifier, Error, NewAccount};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::challenges::Challenges;
use super::files::{Files, StateFile};
use super::http::Authority;
use super::order::{OrderError, one_line, order};
use super::schedule::{History, Span};
use super::settings::{AcmeError, Settings};
use super::status::{Failure, Status};
use crate::pair::Pair;
use crate::pem::Pem;

/// Keeps one certificate for all names of its settings.
#[derive(Debug)]
pub struct Acme {
    keeper: Keeper,
    status: watch::Sender<Status>,
    certificate: watch::Sender<Option<Arc<Pair>>>,
}

/// The state of an [`Acme`] as seen from outside. Clones see the same.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The held certificate: from its file at the start, and then each one that is issued. A failure leaves it in
    /// place.
    pub certificate: watch::Receiver<Option<Arc<Pair>>>,
    /// The status of the orders.
    pub status: watch::Receiver<Status>,
}

/// The longest sleep. Clocks are set, and machines suspended, so due times are computed anew after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// The longest attempt: each of its steps has a bound, but an authority could ask for many.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(15 * 60);
/// The bounds of the interval at which the authority is asked when to renew; the authority chooses within them.
const SUGGESTION: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(86_400);

impl Acme {
    /// Checks the settings, makes the directory if it does not exist, and reads the files in it. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// All errors are for the operator to mend, see [`AcmeError`].
    pub fn open(settings: Settings, challenges: Arc<Challenges>) -> Result<(Acme, Watched), AcmeError> {
        let connector = settings.check()?;
        let files = Files::open(&settings.state_dir, &settings.directory)?;
        let keeper = Keeper {
            authority: Authority::new(connector),
            files,
            settings,
            challenges,
        };
        let mut status = Status::default();
        // An unusable file does not prevent the start: it is replaced.
        let held = keeper.stored(SystemTime::now()).unwrap_or_else(|why| {
            status.last_failure = Some(Failure {
                at: SystemTime::now(),
                why,
            });
            None
        });
        status.not_after = held.as_ref().map(|pair| pair.certificate().not_after());
        let (status, status_seen) = watch::channel(status);
        let (certificate, certificate_seen) = watch::channel(held);
        let acme = Acme {
            keeper,
            status,
            certificate,
        };
        let watched = Watched {
            certificate: certificate_seen,
            status: status_seen,
        };
        Ok((acme, watched))
    }

    /// Orders the certificate whenever it is due. Dropping the future abandons an order under way and withdraws its
    /// answers.
    pub async fn run(self) -> Infallible {
        let mut history = self.history();
        let mut chance = fastrand::f64();
        let mut ask_at = SystemTime::now();
        loop {
            let now = SystemTime::now();
            if ask_at <= now
                && history.held.is_some()
                && let Some(pair) = self.held()
            {
                let asked = timeout(LONGEST_ATTEMPT, self.keeper.suggestion(&pair))
                    .await
                    .ok()
                    .flatten();
                let again = match asked {
                    Some((window, again)) => {
                        history.suggested = Some(window);
                        again
                    }
                    None => *SUGGESTION.end(),
                };
                ask_at = now + again;
            }
            let due = self.keeper.settings.schedule.next_attempt(&history, now, chance);
            self.status.send_modify(|status| status.next_attempt = Some(due));
            if let Ok(wait) = due.duration_since(now)
                && !wait.is_zero()
            {
                // Without a certificate there is no question about its renewal.
                let ask = ask_at.duration_since(now).unwrap_or(LONGEST_SLEEP);
                sleep(wait.min(ask).min(LONGEST_SLEEP)).await;
                continue;
            }
            chance = fastrand::f64();
            self.attempt(&mut history, chance).await;
            ask_at = SystemTime::now();
        }
    }

    async fn attempt(&self, history: &mut History, chance: f64) {
        self.status.send_modify(|status| status.ordering = true);
        let replaced = self.held();
        let made = timeout(LONGEST_ATTEMPT, self.keeper.obtain(replaced.as_deref())).await;
        let now = SystemTime::now();
        match made.unwrap_or_else(|_| Err("the attempt took too long".to_owned())) {
            Ok(pair) => {
                *history = History {
                    held: Some(life(&pair)),
                    ordered: Some(now),
                    ..History::default()
                };
                self.status.send_replace(Status {
                    not_after: Some(pair.certificate().not_after()),
                    ..Status::default()
                });
                self.certificate.send_replace(Some(Arc::new(pair)));
            }
            Err(why) => {
                history.failures = history.failures.saturating_add(1);
                history.failed = Some(now);
                history.retry_after = self.keeper.authority.take_retry_after();
                let next = self.keeper.settings.schedule.next_attempt(history, now, chance);
                self.status.send_modify(|status| {
                    status.ordering = false;
                    status.next_attempt = Some(next);
                    status.failures = history.failures;
                    status.last_failure = Some(Failure { at: now, why });
                });
            }
        }
    }

    fn held(&self) -> Option<Arc<Pair>> {
        self.certificate.borrow().clone()
    }

    fn history(&self) -> History {
        let complete = self.held().filter(|pair| self.keeper.has_all_names(pair));
        History {
            held: complete.map(|pair| life(&pair)),
            ..History::default()
        }
    }
}

fn life(pair: &Pair) -> Span {
    Span {
        start: pair.certificate().not_before(),
        end: pair.certificate().not_after(),
    }
}

/// The authority and the files of a certificate.
#[derive(Debug)]
struct Keeper {
    settings: Settings,
    files: Files,
    authority: Authority,
    challenges: Arc<Challenges>,
}

impl Keeper {
    /// The certificate in its file, if it can be served.
    fn stored(&self, now: SystemTime) -> Result<Option<Arc<Pair>>, String> {
        match self
            .files
            .read(StateFile::Certificate)
            .map_err(|error| error.to_string())?
        {
            Some(bytes) => self.parse(&bytes, now).map(|pair| Some(Arc::new(pair))),
            None => Ok(None),
        }
    }

    fn parse(&self, pem: &[u8], now: SystemTime) -> Result<Pair, String> {
        let name = self.files.path(StateFile::Certificate).display().to_string();
        let file = Pem {
            name: &name,
            bytes: pem,
        };
        Pair::parse(file, file, now).map_err(|error| error.to_string())
    }

    fn has_all_names(&self, pair: &Pair) -> bool {
        let mut wanted = self.settings.names.iter();
        wanted.all(|name| {
            pair.certificate()
                .dns_names()
                .any(|has| has.eq_ignore_ascii_case(name))
        })
    }

    /// Orders a certificate and stores it.
    async fn obtain(&self, replaced: Option<&Pair>) -> Result<Pair, String> {
        let mut made_anew = false;
        let issued = loop {
            let account = self.account().await?;
            let replaced = replaced.map(|pair| pair.certificate().der());
            let kinds = &self.settings.challenges;
            match order(&account, &self.settings.names, kinds, &self.challenges, replaced).await {
                Ok(issued) => break issued,
                // The authority has forgotten the account. A new one is made, once.
                Err(failures) if !made_anew && failures.iter().any(account_is_gone) => {
                    made_anew = true;
                    self.files
                        .remove(StateFile::Account)
                        .map_err(|error| error.to_string())?;
                }
                Err(failures) => {
                    let failures: Vec<_> = failures
                        .iter()
                        .map(|failure| one_line(&failure.to_string()))
                        .collect();
                    return Err(failures.join("; "));
                }
            }
        };
        let pair = self.parse(issued.pem.as_bytes(), SystemTime::now())?;
        self.write(StateFile::Certificate, issued.pem.into_bytes())
            .await?;
        Ok(pair)
    }

    async fn account(&self) -> Result<Account, String> {
        let builder = || Account::builder_with_http(Box::new(self.authority.clone()));
        let step = |error: Error| format!("account: {}", one_line(&error.to_string()));
        if let Some(bytes) = self
            .files
            .read(StateFile::Account)
            .map_err(|error| error.to_string())?
        {
            let credentials: AccountCredentials = serde_json::from_slice(&bytes).map_err(|error| {
                let path = self.files.path(StateFile::Account).display().to_string();
                format!("{path}: {error}; remove it to have a new account made")
            })?;
            return builder().from_credentials(credentials).await.map_err(step);
        }
        let contact = self
            .settings
            .email
            .as_ref()
            .map(|email| format!("mailto:{email}"));
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let created = builder()
            .create(&new, self.settings.directory.clone(), None)
            .await;
        let (account, credentials) = created.map_err(step)?;
        let bytes = serde_json::to_vec(&credentials).map_err(|error| format!("account: {error}"))?;
        self.write(StateFile::Account, bytes).await?;
        Ok(account)
    }

    /// The time at which the authority suggests to renew, and when to ask again. Most errors of the question are
    /// ignored: without a suggestion, two thirds of the life are good.
    async fn suggestion(&self, pair: &Pair) -> Option<(Span, Duration)> {
        let identifier = CertificateIdentifier::try_from(pair.certificate().der()).ok()?;
        let account = self.account().await.ok()?;
        let (info, again) = account.renewal_info(&identifier).await.ok()?;
        let window = Span {
            start: info.suggested_window.start.into(),
            end: info.suggested_window.end.into(),
        };
        Some((window, again.clamp(*SUGGESTION.start(), *SUGGESTION.end())))
    }

    /// Writes a file on a thread of its own: writing waits for the disk, which other tasks of this thread should not.
    async fn write(&self, kind: StateFile, bytes: Vec<u8>) -> Result<(), String> {
        let files = self.files.clone();
        let written = tokio::task::spawn_blocking(move || files.write(kind, &bytes)).await;
        match written {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn account_is_gone(failure: &OrderError) -> bool {
    let OrderError::At(_, Error::Api(problem)) = failure else {
        return false;
    };
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
}
