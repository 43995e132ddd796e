//! The part of a message's head that speaks of its body.

use bytes::Bytes;
use http::{Method, StatusCode};
use pace_content::body::{Access, Content};
use pace_content::headers;
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::framing::{Framing, remove_framing};
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use crate::http1::Pump;

/// The bytes of a body that its head announces; `None` if only its end will tell.
pub(in crate::proxy) fn announced(framing: Framing) -> Option<u64> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// Has a head announce this body, and nothing else about its length. Returns the framing that it then has.
pub(in crate::proxy) fn announce(fields: &mut Fields, body: &Bytes) -> Result<Framing, TooLarge> {
    remove_framing(fields);
    fields.append("Content-Length", body.len().to_string().as_bytes())?;
    Ok(Framing::Length(body.len() as u64))
}

/// Has a message go on with the content that plugins have left.
pub(super) fn put(
    (fields, framing): (&mut Fields, &mut Framing),
    pump: &mut Pump,
    content: Content,
) -> Result<(), TooLarge> {
    if *framing == Framing::None && content.size() == 0 {
        return Ok(());
    }
    let is_changed = content.is_changed();
    if is_changed {
        changed(fields);
        lose_digests(pump.reader().trailers_mut());
    }
    let body = content.into_outgoing();
    let is_announced = !is_changed && *framing == Framing::Length(body.len() as u64);
    if pump.reader().trailers().is_some() {
        remove_framing(fields);
        *framing = Framing::Chunked;
    } else if !is_announced {
        *framing = announce(fields, &body)?;
    }
    pump.put(body);
    Ok(())
}

/// Corrects the fields that speak of a body which a plugin has changed.
pub(in crate::proxy) fn changed(fields: &mut Fields) {
    for name in headers::LOST {
        fields.remove(name);
    }
    if let Some(etag) = fields
        .get("etag")
        .map(|etag| headers::weak_etag(etag).into_owned())
        && fields.set("ETag", &etag).is_err()
    {
        fields.remove("ETag");
    }
}

/// Removes digests of a body that a plugin has changed from its trailers.
pub(in crate::proxy) fn lose_digests(trailers: Option<&mut Fields>) {
    if let Some(trailers) = trailers {
        for name in headers::LOST_TRAILERS {
            trailers.remove(name);
        }
    }
}

/// The access that HTTP allows to the content of a response.
pub(in crate::proxy) fn access(request: &RequestHead, status: StatusCode) -> Access {
    let has_none = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    match has_none || request.method == Method::HEAD {
        true => Access::Nothing,
        false => Access::Edit,
    }
}

/// Removes the length from the head of a response without a body, where it would be that of a body which plugins may change.
/// Returns whether it is such a response.
pub(in crate::proxy) fn forget_length_of_nothing(request: &RequestHead, head: &mut ResponseHead) -> bool {
    let has_none = request.method == Method::HEAD || head.status() == StatusCode::NOT_MODIFIED;
    if has_none {
        remove_framing(&mut head.fields);
    }
    has_none
}
