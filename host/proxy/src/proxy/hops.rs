//! Limits the hops of a request: `Max-Forwards` (RFC 9110, section 7.6.2).

use http::Method;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;

/// Takes one of the hops that the client allows. Returns whether one was left; otherwise Pace must answer the request.
///
/// The field applies to OPTIONS and TRACE, and TRACE is refused before this. A value that is no number is no limit, and a number
/// that has no room becomes the largest that has.
pub(super) fn take_one(request: &mut RequestHead) -> bool {
    if request.method != Method::OPTIONS {
        return true;
    }
    let Some(left) = request.fields.first(Known::MaxForwards).and_then(number) else {
        return true;
    };
    if left == 0 {
        return false;
    }
    let less = (left - 1).to_string();
    request.fields.set("Max-Forwards", less.as_bytes()).is_ok()
}

/// Reads `1*DIGIT`.
fn number(value: &[u8]) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let mut number = None;
    for byte in value {
        let digit = digit(*byte)?;
        number = Some(number.unwrap_or(0u64).saturating_mul(10).saturating_add(digit));
    }
    number
}
