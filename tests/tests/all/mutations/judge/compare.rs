//! Compares the received message with the sent one.

use super::super::reader::{Fields, Quirk, Read, RequestHead, ResponseHead, normal};
use super::super::rules::{is_for_proxies, is_kept, is_of_the_hop, is_rewritten};

/// Compares the request that a backend received with the one that was sent, and returns the difference in a
/// few words. The client's address is that of its connection.
pub(super) fn request_differs(
    sent: &Read<RequestHead>,
    got: &Read<RequestHead>,
    client: &str,
) -> Option<String> {
    let (Some(was), Some(is)) = (&sent.head, &got.head) else {
        return Some("no head".to_owned());
    };
    if was.method != is.method {
        return Some("another method".to_owned());
    }
    if is.authority.is_some() {
        return Some("the absolute form of the target".to_owned());
    }
    let whole_server = was.authority.is_some() && is.target == b"*" && normal(&was.target) == b"/";
    if normal(&was.target) != normal(&is.target) && !whole_server {
        return Some("another target".to_owned());
    }
    if sent.body != got.body {
        return Some("another body".to_owned());
    }
    // A long trailer is passed on as it was sent.
    let may_stay = [
        Quirk::TargetCharacters,
        Quirk::OddHost,
        Quirk::Expectation,
        Quirk::LongLine,
    ];
    let stays =
        |quirk: &&Quirk| may_stay.contains(quirk) && (sent.quirks.contains(quirk) || was.fields.0.is_empty());
    // A request of HTTP/1.0 without Host becomes HTTP/1.1 with an empty one.
    let empty = |quirk: &&Quirk| **quirk == Quirk::OddHost && is.host().is_empty() && was.minor == 0;
    if let Some(quirk) = got.quirks.iter().find(|quirk| !stays(quirk) && !empty(quirk)) {
        return Some(format!("passed on with {quirk:?}"));
    }
    if !same_host(was, is) {
        return Some("another Host".to_owned());
    }
    if is.minor != 1 {
        return Some(format!("passed on as HTTP/1.{}", is.minor));
    }
    let nominated = was.fields.list("connection");
    let fate = |name: &[u8]| match name {
        _ if is_rewritten(name) => Fate::Free,
        // Each hop decides whether it accepts trailers.
        b"te" if is.fields.list("te") == [b"trailers"] && is.fields.lists("connection", "te") => Fate::Free,
        b"upgrade" if was.asks_for_upgrade() && is_plain_upgrade(sent) => Fate::Passes,
        b"upgrade" if was.asks_for_upgrade() => Fate::Free,
        _ if is_of_the_hop(name) || (nominated.iter().any(|option| option == name) && !is_kept(name)) => {
            Fate::Ends
        }
        // CGI takes `X_A` for `X-A`, so a proxy does well to drop it.
        _ if name.contains(&b'_') || is_for_proxies(name) => Fate::MayPass,
        _ => Fate::Passes,
    };
    if let Some(difference) = fields_differ(&was.fields, &is.fields, fate) {
        return Some(difference);
    }
    if is.fields.all("x-forwarded-for").collect::<Vec<_>>() != [client.as_bytes()] {
        return Some("another X-Forwarded-For".to_owned());
    }
    if got
        .trailers
        .0
        .iter()
        .any(|trailer| !sent.trailers.0.contains(trailer))
    {
        return Some("other trailers".to_owned());
    }
    None
}

/// Whether a request for an upgrade has nothing for which it may be ignored or changed: a body, several lines
/// of protocols, or HTTP/2 among these.
fn is_plain_upgrade(sent: &Read<RequestHead>) -> bool {
    let head = sent.head.as_ref();
    sent.body.is_empty()
        && head.is_some_and(|head| {
            head.fields.all("upgrade").count() == 1 && !head.fields.lists("upgrade", "h2c") && !head.closes()
        })
}

/// Whether the host is the same, or the backend's where there was none. The default port may be left out.
fn same_host(was: &RequestHead, is: &RequestHead) -> bool {
    let plain = |host: &[u8]| {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(b":80").unwrap_or(&host);
        host.strip_suffix(b":").unwrap_or(host).to_vec()
    };
    was.host().is_empty() || plain(was.host()) == plain(is.host())
}

/// Compares the response that a client received with the one that the backend sent, except for the bodies,
/// and returns the difference.
pub(super) fn response_differs(sent: &ResponseHead, got: &ResponseHead) -> Option<String> {
    if sent.status != got.status {
        return Some("another status".to_owned());
    }
    if sent.codings != got.codings {
        return Some("other codings".to_owned());
    }
    let nominated = sent.fields.list("connection");
    let fate = |name: &[u8]| match name {
        b"date" => Fate::Free,
        // A backend that nominates it wants the client to lose it, so a proxy may know better.
        b"set-cookie" if nominated.iter().any(|option| option == name) => Fate::MayPass,
        // The protocols that are switched to.
        b"upgrade" if sent.status == 101 => Fate::Passes,
        _ if is_rewritten(name) => Fate::Free,
        _ if is_of_the_hop(name) || nominated.iter().any(|option| option == name) => Fate::Ends,
        _ if is_for_proxies(name) => Fate::MayPass,
        _ => Fate::Passes,
    };
    fields_differ(&sent.fields, &got.fields, fate)
}

/// The treatment of the fields of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    MayPass,
    /// The fields are not for the other side.
    Ends,
    /// The fields are the proxy's own.
    Free,
}

/// Compares fields, whose fate is looked up by the name in lower case, and returns the difference.
fn fields_differ(sent: &Fields, got: &Fields, fate: impl Fn(&[u8]) -> Fate) -> Option<String> {
    let both = sent.0.iter().chain(&got.0);
    for name in both.map(|(name, _)| name.to_ascii_lowercase()) {
        let text = String::from_utf8_lossy(&name);
        let (was, is) = (values(sent, &text), values(got, &text));
        let how = match fate(&name) {
            Fate::Free => continue,
            Fate::Ends if is.is_empty() => continue,
            Fate::MayPass if is.is_empty() => continue,
            Fate::Passes | Fate::MayPass if was == is => continue,
            Fate::Ends => "passed on",
            Fate::Passes | Fate::MayPass if was.is_empty() => "made up",
            Fate::Passes if is.is_empty() => "lost",
            Fate::Passes | Fate::MayPass => "with other values",
        };
        // A name that differs in each case would make a kind of failure of its own.
        let known = name
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(byte));
        return Some(format!("{} {how}", if known { &text } else { "a field" }));
    }
    None
}

/// The values of a name, with one space for each run of white space, so that a folded line equals its repair.
fn values(fields: &Fields, name: &str) -> Vec<Vec<u8>> {
    let squeezed = |value: &[u8]| {
        let words = value
            .split(|byte| b" \t".contains(byte))
            .filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    fields.all(name).map(squeezed).collect()
}
