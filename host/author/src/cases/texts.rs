//! The texts of an exchange: the path, the headers and the bodies.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};

use pace_harness::{Arrival, Exchange, Response};
use pace_hook::field::check_target;

/// A part of a message that cannot have every text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Header,
}

impl Part {
    /// The key, below a step or its `request` or `response`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Path => "path",
            Part::Header => "headers",
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Part::Path => "a path as in a request: no spaces, other characters as %XX",
            Part::Header => "a value that a header can have",
        }
    }
}

/// Returns the new text; `None` for the same.
type Edit<'a> = dyn FnMut(&str) -> Option<String> + 'a;

/// Replaces the texts of the request, of the response and of those that attempts bring. A part that cannot have its new text is
/// returned with it.
pub(super) fn edit(exchange: &mut Exchange, new: &mut Edit<'_>) -> Result<(), (Part, String)> {
    let request = &mut exchange.request;
    if let Some(target) = new(&request.target()) {
        if check_target(&target).is_err() {
            return Err((Part::Path, target));
        }
        request.set_target(&target);
    }
    headers(&mut request.headers, new)?;
    body(&mut request.body, &mut request.arrival, new);
    response(&mut exchange.response, new)?;
    for brought in &mut exchange.attempts {
        if let Ok(came) = &mut brought.result {
            response(came, new)?;
        }
    }
    Ok(())
}

fn response(response: &mut Response, new: &mut Edit<'_>) -> Result<(), (Part, String)> {
    headers(&mut response.headers, new)?;
    if let Some(of) = &mut response.body {
        body(of, &mut response.arrival, new);
    }
    Ok(())
}

fn headers(headers: &mut HeaderMap, new: &mut Edit<'_>) -> Result<(), (Part, String)> {
    for value in headers.values_mut() {
        let text = str::from_utf8(value.as_bytes()).ok().and_then(&mut *new);
        if let Some(text) = text {
            *value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| (Part::Header, text))?;
        }
    }
    Ok(())
}

/// Replaces the text of each piece in which a body arrives.
fn body(body: &mut Bytes, arrival: &mut Arrival, new: &mut Edit<'_>) {
    let mut one = |piece: &[u8]| {
        let text = str::from_utf8(piece).ok().and_then(&mut *new);
        text.map_or_else(|| piece.to_vec(), String::into_bytes)
    };
    match &mut arrival.pieces {
        None => *body = one(body).into(),
        Some(sizes) => {
            let mut made = Vec::new();
            let mut rest = &body[..];
            for size in sizes {
                let (piece, behind) = rest.split_at(*size);
                let piece = one(piece);
                *size = piece.len();
                made.extend(piece);
                rest = behind;
            }
            *body = made.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pace_harness::Request;

    #[test]
    fn every_text_is_replaced_and_pieces_stay_pieces() {
        let mut exchange = Exchange::new(Request::get("/a?a").with_header("x-a", "a"));
        exchange.request.body = Bytes::from("aba");
        exchange.request.arrival.pieces = Some(vec![1, 2]);
        exchange.response.body = Some(Bytes::from("a"));
        let put = edit(&mut exchange, &mut |text| Some(text.replace('a', "long")));
        assert_eq!(put, Ok(()));
        let request = &exchange.request;
        assert_eq!(request.target(), "/long?long");
        assert_eq!(request.headers["x-a"], "long");
        assert_eq!(request.body, "longblong");
        assert_eq!(request.arrival.pieces, Some(vec![4, 5]));
        assert_eq!(exchange.response.body.as_deref(), Some(&b"long"[..]));
    }

    #[test]
    fn text_that_does_not_fit_is_returned_with_its_part() {
        let exchange = || Exchange::new(Request::get("/a").with_header("x-a", "b"));
        let put = edit(&mut exchange(), &mut |text| Some(text.replace('a', " ")));
        assert_eq!(put, Err((Part::Path, "/ ".to_owned())));
        let put = edit(&mut exchange(), &mut |text| Some(text.replace('b', "\n")));
        assert_eq!(put, Err((Part::Header, "\n".to_owned())));
    }
}
