//! Responses that Pace sends by itself.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;
use pingora_proxy::Session;

use crate::hook::Reply;

/// A reply as Pingora wants it, framed by the length of its body.
pub(super) fn head_and_body(reply: Reply) -> Result<(Box<ResponseHeader>, Bytes)> {
    let mut head = Box::new(ResponseHeader::build(
        reply.status,
        Some(reply.headers.len() + 4),
    )?);
    for (name, value) in reply.headers {
        head.append_header(name, value)?;
    }
    head.insert_header(DATE, get_cached_date())?;
    let body = if has_no_body(reply.status) {
        Bytes::new()
    } else {
        reply.body
    };
    if !has_no_length(reply.status) {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    Ok((head, body))
}

/// What is sent instead of a backend's response whose status has no body and that may have one; `None` if it is well.
pub(super) fn without_body(response: &ResponseHeader) -> Result<Option<(Box<ResponseHeader>, Bytes)>> {
    if response.status != StatusCode::RESET_CONTENT {
        return Ok(None);
    }
    let mut head = Box::new(response.clone());
    head.remove_header(&TRANSFER_ENCODING);
    head.insert_header(CONTENT_LENGTH, 0)?;
    Ok(Some((head, Bytes::new())))
}

/// Sends it; the body is left out for HEAD.
pub(super) async fn send(session: &mut Session, head: Box<ResponseHeader>, body: Bytes) -> Result<()> {
    let body_follows = !body.is_empty() && session.req_header().method != Method::HEAD;
    session.write_response_header(head, !body_follows).await?;
    if body_follows {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5. Interim responses are not sent from here.
fn has_no_body(status: StatusCode) -> bool {
    has_no_length(status) || status == StatusCode::RESET_CONTENT
}

/// RFC 9112, section 6.3: their heads end the message. That of 205 does not, so it says that nothing follows.
fn has_no_length(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
