//! `request.client-certificate`: the certificate of the client.

use wasmtime::{Result, format_err};

use super::super::bindings::pace::plugin::request::Certificate;
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_list, answer_option, called, copied, guest, place, split,
};
use pace_hook::ClientCertificate;

/// The place of each field in `option<certificate>`, as the canonical ABI lays it out.
mod at {
    pub(super) const SUBJECT: u32 = 8;
    pub(super) const COMMON_NAME: u32 = 16;
    pub(super) const ISSUER: u32 = 28;
    pub(super) const SERIAL_NUMBER: u32 = 36;
    pub(super) const NOT_BEFORE: u32 = 48;
    pub(super) const NOT_AFTER: u32 = 56;
    pub(super) const DNS_NAMES: u32 = 64;
    pub(super) const URIS: u32 = 72;
    pub(super) const EMAIL_ADDRESSES: u32 = 80;
    pub(super) const IP_ADDRESSES: u32 = 88;
    pub(super) const FINGERPRINT: u32 = 96;
    pub(super) const END: usize = 104;
}

pub(super) fn add_directly(request: &mut Interface<'_>) -> Result<()> {
    request
        .func("client-certificate", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            answer(&mut caller, out)
        })?
        .func("client-certificate-der", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let certificate = guest(&caller)?.lending.facts()?.certificate;
            let der = certificate.map(|certificate| copied(&certificate.der));
            answer_option(&mut caller, out, der.as_deref())
        })?;
    Ok(())
}

/// Writes the fields one after the other, in the order in which components get them, because their places may overlap.
/// Nothing is borrowed while the plugin allocates.
fn answer(caller: &mut Caller<'_>, out: u32) -> Result<()> {
    let is_there = guest(caller)?.lending.facts()?.certificate.is_some();
    let answer = place::<8, { at::END }>(split(caller)?.0, out)?;
    answer[0] = u8::from(is_there);
    if !is_there {
        return Ok(());
    }
    text(caller, out + at::SUBJECT, |certificate| &certificate.subject)?;
    let common_name = shown(caller)?.common_name.as_ref().map(copied);
    answer_option(caller, out + at::COMMON_NAME, common_name.as_deref())?;
    text(caller, out + at::ISSUER, |certificate| &certificate.issuer)?;
    text(caller, out + at::SERIAL_NUMBER, |certificate| {
        &certificate.serial_number
    })?;
    number(caller, out + at::NOT_BEFORE, |certificate| certificate.not_before)?;
    number(caller, out + at::NOT_AFTER, |certificate| certificate.not_after)?;
    list(caller, out + at::DNS_NAMES, |certificate| &certificate.dns_names)?;
    list(caller, out + at::URIS, |certificate| &certificate.uris)?;
    list(caller, out + at::EMAIL_ADDRESSES, |certificate| {
        &certificate.email_addresses
    })?;
    list(caller, out + at::IP_ADDRESSES, |certificate| {
        &certificate.ip_addresses
    })?;
    text(caller, out + at::FINGERPRINT, |certificate| {
        &certificate.fingerprint
    })
}

fn shown<'a>(caller: &'a Caller<'_>) -> Result<&'a ClientCertificate> {
    let certificate = guest(caller)?.lending.facts()?.certificate;
    certificate.ok_or_else(|| format_err!("the client's certificate is lent for the whole call"))
}

fn text(caller: &mut Caller<'_>, at: u32, of: fn(&ClientCertificate) -> &str) -> Result<()> {
    let text = copied(of(shown(caller)?));
    answer_bytes(caller, at, &text)
}

fn number(caller: &mut Caller<'_>, at: u32, of: fn(&ClientCertificate) -> i64) -> Result<()> {
    let number = of(shown(caller)?);
    *place::<8, 8>(split(caller)?.0, at)? = number.to_le_bytes();
    Ok(())
}

fn list(caller: &mut Caller<'_>, at: u32, of: fn(&ClientCertificate) -> &[String]) -> Result<()> {
    let list: Vec<_> = of(shown(caller)?).iter().map(|text| [copied(text)]).collect();
    answer_list(caller, at, &list)
}

impl From<&ClientCertificate> for Certificate {
    fn from(certificate: &ClientCertificate) -> Certificate {
        Certificate {
            subject: certificate.subject.clone(),
            common_name: certificate.common_name.clone(),
            issuer: certificate.issuer.clone(),
            serial_number: certificate.serial_number.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            dns_names: certificate.dns_names.clone(),
            uris: certificate.uris.clone(),
            email_addresses: certificate.email_addresses.clone(),
            ip_addresses: certificate.ip_addresses.clone(),
            fingerprint: certificate.fingerprint.clone(),
        }
    }
}
