//! Limits the hops of a request: `Max-Forwards` (RFC 9110, section 7.6.2).

use http::Method;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;

/// Takes one of the hops that the client allows. Returns whether one was left; otherwise Pace must answer the request.
///
/// The field applies to OPTIONS and TRACE, and TRACE is refused before this. A value that is no number is no limit.
pub(super) fn take_one(request: &mut RequestHead) -> bool {
    if request.method != Method::OPTIONS {
        return true;
    }
    let Some(left) = request
        .fields
        .first(Known::MaxForwards)
        .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok())
    else {
        return true;
    };
    if left == 0 {
        return false;
    }
    let less = (left - 1).to_string();
    request.fields.set("Max-Forwards", less.as_bytes()).is_ok()
}
