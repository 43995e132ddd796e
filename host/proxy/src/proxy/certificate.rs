//! Writes the client's certificate into the request's fields, for plugins and backends (RFC 9440).

use pace_config::listener::ForwardedCertificates;
use pace_tls::client_cert_header::{CHAIN_NAME, NAME};
use pace_wire::fields::TooLarge;
use pace_wire::known::Known;
use pace_wire::request::{RequestHead, Underscores};
use pace_wire::response::ResponseHead;

use super::context::Context;
use crate::http1::Client;

/// Removes the fields about a certificate that the client has sent, and writes the truth if the listener forwards it.
///
/// The fields of trusted proxies are removed, too: many a proxy passes on fields that it does not know, so a proxy that
/// is trusted to name addresses would let anybody be anybody.
pub(super) fn tell(client: &Client, request: &mut RequestHead, context: &Context) -> Result<(), TooLarge> {
    let fields = &mut request.fields;
    if context.snapshot.rules.underscores == Underscores::Pass {
        fields.retain(|field| !is_claim(Known::in_any_spelling(field.name.as_bytes())));
    } else if fields.has(Known::ClientCert) || fields.has(Known::ClientCertChain) {
        fields.retain(|field| !is_claim(field.known));
    }
    let Some(certificate) = &client.arrival.certificate else {
        return Ok(());
    };
    let forwards = forwards(client, context);
    if forwards != ForwardedCertificates::None {
        request.fields.append(NAME, certificate.field().as_bytes())?;
    }
    if forwards == ForwardedCertificates::Chain
        && let Some(chain) = certificate.chain_field()
    {
        request.fields.append(CHAIN_NAME, chain.as_bytes())?;
    }
    Ok(())
}

/// Marks a response as one for no cache if it was chosen by the certificate: the client, and caches between, do not know
/// the field by which it was chosen (section 2.4).
pub(super) fn forbid_caches(client: &Client, context: &Context, response: &mut ResponseHead) {
    if forwards(client, context) == ForwardedCertificates::None {
        return;
    }
    let names_it = response.fields.get_all("Vary").any(|value| {
        value
            .split(|byte| *byte == b',')
            .any(|name| is_one_of(name.trim_ascii(), [NAME, CHAIN_NAME]))
    });
    if names_it {
        // A head that has been read is far smaller than a message may be.
        let _ = response.fields.set("Vary", b"*");
    }
}

fn forwards(client: &Client, context: &Context) -> ForwardedCertificates {
    let front = context.snapshot.front(client.arrival.listener);
    front.map_or(ForwardedCertificates::None, |front| front.forwards)
}

fn is_claim(known: Known) -> bool {
    matches!(known, Known::ClientCert | Known::ClientCertChain)
}

fn is_one_of<const N: usize>(name: &[u8], names: [&str; N]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}
