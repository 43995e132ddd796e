//! An order, from names to a chain and its key.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;

use super::challenges::{Challenges, Open};
use super::settings::ChallengeKind;

/// How long an authority may take to verify names, and then to issue.
const PATIENCE: Duration = Duration::from_secs(120);

/// A certificate that was issued.
pub(super) struct Issued {
    /// The chain and its key in PEM.
    pub(super) pem: String,
}

/// An error of an order.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority was not convinced by this kind of challenge. Another kind may succeed.
    #[error("{}: {why}", kind.name())]
    NotProven {
        /// The kind.
        kind: ChallengeKind,
        /// The authority's finding.
        why: String,
    },
    /// Another error, at this step.
    #[error("{0}: {1}")]
    At(&'static str, Error),
    /// A key or a certificate request could not be made.
    #[error("{0}")]
    Made(String),
}

/// Orders one certificate for `names`, proven by the first of `kinds` that convinces the authority. `replaced` is the
/// certificate that the new one replaces.
pub(super) async fn order(
    account: &Account,
    names: &[String],
    kinds: &[ChallengeKind],
    challenges: &Arc<Challenges>,
    replaced: Option<&CertificateDer<'static>>,
) -> Result<Issued, Vec<OrderError>> {
    let mut failures = Vec::new();
    for kind in kinds {
        match order_by(*kind, account, names, challenges, replaced).await {
            Ok(issued) => return Ok(issued),
            Err(failed @ OrderError::NotProven { .. }) => failures.push(failed),
            Err(other) => {
                failures.push(other);
                break;
            }
        }
    }
    Err(failures)
}

async fn order_by(
    kind: ChallengeKind,
    account: &Account,
    names: &[String],
    challenges: &Arc<Challenges>,
    replaced: Option<&CertificateDer<'static>>,
) -> Result<Issued, OrderError> {
    let identifiers: Vec<_> = names
        .iter()
        .map(|name| Identifier::Dns(name.to_ascii_lowercase()))
        .collect();
    let mut order = begin(account, &identifiers, replaced)
        .await
        .map_err(|error| OrderError::At("new order", error))?;
    // The challenges are answered until the order is done or abandoned.
    let _open = prove(kind, &mut order, challenges).await?;
    // Asks after a quarter of a second, then ever less often, unless the authority says when.
    let policy = RetryPolicy::new().backoff(1.25).timeout(PATIENCE);
    match order.poll_ready(&policy).await {
        Ok(OrderStatus::Ready) => {}
        // The order has failed, and its authorizations have the reasons.
        Ok(_) | Err(Error::Api(_)) => {
            return Err(OrderError::NotProven {
                kind,
                why: why_not(&mut order).await,
            });
        }
        Err(error) => return Err(OrderError::At("waiting for the authority to look", error)),
    }
    let (key, request) = request(names).map_err(OrderError::Made)?;
    order
        .finalize_csr(&request)
        .await
        .map_err(|error| OrderError::At("request for the certificate", error))?;
    let chain = order.poll_certificate(&policy).await;
    let chain = chain.map_err(|error| OrderError::At("waiting for the certificate", error))?;
    Ok(Issued {
        pem: format!("{}{chain}", key.serialize_pem()),
    })
}

/// Begins an order. Authorities that suggest when to renew want to be told which certificate is replaced (RFC 9773
/// section 5). Others, or those that no longer know the certificate, refuse an order that says so.
async fn begin(
    account: &Account,
    identifiers: &[Identifier],
    replaced: Option<&CertificateDer<'static>>,
) -> Result<Order, Error> {
    if let Some(identifier) = replaced.and_then(|der| CertificateIdentifier::try_from(der).ok())
        && let Ok(order) = account
            .new_order(&NewOrder::new(identifiers).replaces(identifier))
            .await
    {
        return Ok(order);
    }
    account.new_order(&NewOrder::new(identifiers)).await
}

/// Answers the challenges of all names that are not proven already, and then makes the authority verify them.
async fn prove(
    kind: ChallengeKind,
    order: &mut Order,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Open>, OrderError> {
    let at = |error| OrderError::At("authorizations", error);
    let mut open = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(at)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind_of = match kind {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let Some(mut challenge) = authorization.challenge(kind_of) else {
            return Err(OrderError::NotProven {
                kind,
                why: "the authority does not offer it".to_owned(),
            });
        };
        let answer = challenge.key_authorization();
        open.push(match kind {
            ChallengeKind::Http01 => challenges.open_http(&challenge.token, answer.as_str()),
            ChallengeKind::TlsAlpn01 => {
                let name = challenge.identifier().to_string();
                let digest = answer.digest().as_ref().try_into().expect("SHA-256 has 32 bytes");
                challenges
                    .open_tls_alpn(&name, &digest)
                    .map_err(OrderError::Made)?
            }
        });
        challenge.set_ready().await.map_err(at)?;
    }
    Ok(open)
}

/// The authority's findings about each name that it did not accept.
async fn why_not(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        if authorization.refresh().await.is_ok() && authorization.status != AuthorizationStatus::Valid {
            reasons.push(format!("{name}: {}", found(&authorization)));
        }
    }
    match reasons.is_empty() {
        true => "the authority gives no reason".to_owned(),
        false => reasons.join("; "),
    }
}

fn found(authorization: &AuthorizationHandle<'_>) -> String {
    let error = authorization
        .challenges
        .iter()
        .find_map(|challenge| challenge.error.as_ref());
    match error.and_then(|error| error.detail.clone().or_else(|| error.r#type.clone())) {
        Some(text) => one_line(&text),
        None => format!("{:?}", authorization.status).to_lowercase(),
    }
}

/// Makes an authority's text fit for a log: one line of limited length.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(500)
        .collect()
}

/// A new key, and a certificate request for `names` signed by it.
fn request(names: &[String]) -> Result<(KeyPair, Vec<u8>), String> {
    let made = || {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate()?;
        let request = params.serialize_request(&key)?;
        Ok((key, request.der().to_vec()))
    };
    made().map_err(|error: rcgen::Error| error.to_string())
}
