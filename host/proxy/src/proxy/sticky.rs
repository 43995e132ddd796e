//! Cookies that keep clients at their backends.

use pace_wire::cookie;
use pace_wire::fields::TooLarge;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::context::Context;
use crate::upstream::StickyId;

/// The backend that the client's cookie names, if it takes requests.
pub(super) fn find(request: &RequestHead, context: &Context) -> Option<u32> {
    let stickiness = context.pool().settings.upkeep.stickiness.as_ref()?;
    let id = named(request, &stickiness.cookie)?;
    context.members.as_ref()?.called(id)
}

/// Sets the cookie of the backend that has answered, unless the client has it, or has that of a backend that was only full: such a
/// backend keeps its clients.
pub(super) fn remember(request: &RequestHead, context: &Context, response: &mut ResponseHead) {
    let Some(stickiness) = &context.pool().settings.upkeep.stickiness else {
        return;
    };
    let (Some((place, _)), Some(members)) = (&context.current, &context.members) else {
        return;
    };
    let id = place.backend().sticky;
    if let Some(known) = named(request, &stickiness.cookie) {
        let keeps = |index| !context.tried.contains(&index);
        if known == id || members.called(known).is_some_and(keeps) {
            return;
        }
    }
    let mut cookie = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax", stickiness.cookie);
    if let Some(ttl) = stickiness.ttl {
        cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if context.scheme == "https" {
        cookie.push_str("; Secure");
    }
    if let Err(TooLarge) = response.fields.append("Set-Cookie", cookie.as_bytes()) {
        log::debug!(target: "pace::proxy", "a response has no room for the cookie of its backend");
    }
}

/// The backend named by the request's cookie. Values of another form are some other program's.
fn named(request: &RequestHead, cookie: &str) -> Option<StickyId> {
    cookie::values(&request.fields, cookie)
        .map(unquoted)
        .find_map(StickyId::parse)
}

fn unquoted(value: &[u8]) -> &[u8] {
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    quoted.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use pace_wire::request::Rules;

    use super::*;

    fn found(lines: &str) -> Option<String> {
        let mut request = RequestHead::new();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        request
            .read(head.as_bytes(), &Rules::default())
            .expect("it is a request");
        named(&request, "pace").map(|id| id.to_string())
    }

    #[test]
    fn cookie_is_found_among_others_and_values_of_others_are_ignored() {
        let id = "0123456789abcdef";
        for lines in [
            format!("Cookie: pace={id}\r\n"),
            format!("Cookie: a=b; pace={id}; c=d\r\n"),
            format!("cookie: a=b\r\nCOOKIE: pace={id}\r\n"),
            format!("Cookie: pace=mine;pace=\"{id}\"\r\n"),
        ] {
            assert_eq!(found(&lines).as_deref(), Some(id), "{lines}");
        }
        for lines in [
            "",
            "Cookie: pace\r\n",
            "Cookie: pace=\r\n",
            "Cookie: spaced=0123456789abcdef\r\n",
            "Cookie: pace=0123456789abcdeg\r\n",
            "Cookie: Pace=0123456789abcdef\r\n",
        ] {
            assert_eq!(found(lines), None, "{lines}");
        }
    }
}
