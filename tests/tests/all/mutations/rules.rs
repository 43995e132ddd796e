//! The rules by which Pace treats requests: served, refused, or either.
//!
//! Pace refuses requests that the reference reader calls broken. It refuses more of those that the grammar
//! allows, as its documentation says, and may refuse odd ones.

use super::reader::{Fields, Read, RequestHead, path};

/// The treatment of a complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The request reaches the backend, once, and its answer is the backend's.
    Serve,
    /// The request is served, or refused without reaching a backend.
    Either,
    /// The request reaches no backend, and the connection ends.
    Refuse(&'static str),
}

/// The number of fields and the size of a head that Pace must accept; larger ones may be too much.
const LARGE: (usize, usize) = (100, 16 * 1024);

/// Fields that `Connection` cannot remove from a request.
const KEPT: [&str; 8] = [
    "te",
    "expect",
    "upgrade",
    "host",
    "authorization",
    "cookie",
    "forwarded",
    "x-forwarded-",
];

/// Fields that end at each hop, whatever `Connection` says (RFC 9110, section 7.6.1).
const OF_THE_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "te", "upgrade"];

/// Fields that a proxy writes itself.
const REWRITTEN: [&str; 9] = [
    "connection",
    "transfer-encoding",
    "content-length",
    "trailer",
    "expect",
    "via",
    "host",
    "forwarded",
    "x-real-ip",
];

pub(crate) fn rule(read: &Read<RequestHead>) -> Rule {
    let Some(head) = &read.head else {
        return Rule::Either;
    };
    let nominated = head.fields.list("connection");
    let nominates = |name: &str| nominated.iter().any(|option| option == name.as_bytes());
    if head.method == b"CONNECT" {
        return Rule::Refuse("CONNECT");
    }
    if head.minor > 0 && head.host().is_empty() {
        return Rule::Refuse("an empty Host");
    }
    for framing in ["content-length", "transfer-encoding"] {
        if nominates(framing) {
            return match head.fields.has(framing) {
                true => Rule::Refuse("a nominated framing"),
                false => Rule::Either,
            };
        }
    }
    // These elements are about the connection itself and name no field.
    let asked = [&b"close"[..], b"keep-alive", b"upgrade"];
    let fields = nominated
        .iter()
        .filter(|option| !asked.contains(&option.as_slice()));
    if fields.count() > 10 {
        return Rule::Refuse("too many nominations");
    }
    let odd_nominations = nominated.len() >= 10
        || nominates("host")
        || nominated.iter().any(|option| option.starts_with(b"x-forwarded-"));
    let large = is_large(&head.fields) || head.target.len() > 4 * 1024;
    let own_answer = head.fields.has("max-forwards") || [&b"TRACE"[..], b"PRI"].contains(&&head.method[..]);
    match read.quirks.is_empty() && !odd_nominations && !large && !own_answer && !is_odd_target(&head.target)
    {
        true => Rule::Serve,
        false => Rule::Either,
    }
}

/// Whether a head is so large that it may be too much.
pub(crate) fn is_large(fields: &Fields) -> bool {
    let size = fields.0.iter().map(|(name, value)| name.len() + value.len() + 4);
    fields.0.len() > LARGE.0 || size.sum::<usize>() > LARGE.1
}

/// Whether a field is for the next hop alone. The name is in lower case.
pub(crate) fn is_of_the_hop(name: &[u8]) -> bool {
    OF_THE_HOP.iter().any(|known| name == known.as_bytes())
}

/// Whether a proxy writes a field anew. The name is in lower case.
pub(crate) fn is_rewritten(name: &[u8]) -> bool {
    name.starts_with(b"x-forwarded-") || REWRITTEN.iter().any(|known| name == known.as_bytes())
}

/// Whether a field is for some proxy, which may be this one. The name is in lower case.
pub(crate) fn is_for_proxies(name: &[u8]) -> bool {
    [
        &b"proxy-authorization"[..],
        b"proxy-authenticate",
        b"http2-settings",
    ]
    .contains(&name)
}

/// Whether `Connection` cannot remove a field from a request. The name is in lower case.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    KEPT.iter().any(|known| match known.strip_suffix('-') {
        Some(_) => name.starts_with(known.as_bytes()),
        None => name == known.as_bytes(),
    })
}

/// Whether a path has segments that other readers may take for different ones.
fn is_odd_target(target: &[u8]) -> bool {
    let path = path(target).to_ascii_lowercase();
    let has = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    let escaped_control = path
        .windows(2)
        .any(|window| matches!(window, [b'%', b'0' | b'1']))
        || has(b"%7f");
    [&b"%2f"[..], b"%5c", b"%2e", b"\\", b"//", b";", b"%25"]
        .iter()
        .any(|part| has(part))
        || path.split(|byte| *byte == b'/').any(|segment| segment == b"..")
        || escaped_control
}
