//! Statements of a message about its connection alone (RFC 9110, section 7.6.1).

use crate::fields::Fields;
use crate::known::Known;

/// The options in `Connection`. Several lines are one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// `te`
    pub te: bool,
}

/// `Connection` is not a list of tokens, names a field that frames a request, or names more than
/// [`MAX_NOMINATIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The most fields that a sender may declare to be about its connection, as many as pingora-proxy takes.
pub const MAX_NOMINATIONS: usize = 10;

/// Fields of requests that are meant for the backend, or decide where a request goes and how long it is.
/// Naming one in `Connection` does not remove it.
const KEPT_IN_REQUESTS: [&str; 15] = [
    "authorization",
    "cache-control",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "max-forwards",
    "te",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The fields of responses that `Connection` cannot declare to be its own.
const KEPT_IN_RESPONSES: [&str; 8] = [
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "location",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];

impl Options {
    /// Reads the options of a request, and removes the fields that they declare to be the connection's own.
    /// The backend does not see these, so a client cannot have a field removed that a plugin sets later.
    ///
    /// Call this after the framing has been decided on all fields.
    pub fn take_of_request(fields: &mut Fields) -> Result<Options, Malformed> {
        take(fields, |name| match name {
            "content-length" | "transfer-encoding" => Err(Malformed),
            name => Ok(KEPT_IN_REQUESTS.contains(&name) || name.starts_with("x-forwarded-")),
        })
    }

    /// Reads the options of a response, and removes the fields that they declare to be the connection's own.
    pub fn take_of_response(fields: &mut Fields) -> Result<Options, Malformed> {
        take(fields, |name| Ok(KEPT_IN_RESPONSES.contains(&name)))
    }
}

/// Reads the options and removes the fields they nominate, except those that `is_kept` keeps.
fn take(
    fields: &mut Fields,
    is_kept: impl Fn(&str) -> Result<bool, Malformed>,
) -> Result<Options, Malformed> {
    let mut options = Options::default();
    let mut nominated: Vec<String> = Vec::new();
    for token in fields
        .all(Known::Connection)
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let token = token.trim_ascii();
        let is = |option: &str| token.eq_ignore_ascii_case(option.as_bytes());
        match token.len() {
            0 => {}
            10 if is("keep-alive") => options.keep_alive = true,
            5 if is("close") => options.close = true,
            7 if is("upgrade") => options.upgrade = true,
            2 if is("te") => options.te = true,
            _ => nominated.push(nomination(token, nominated.len())?),
        }
    }
    for name in nominated {
        if !is_kept(&name)? {
            fields.remove(&name);
        }
    }
    Ok(options)
}

fn nomination(token: &[u8], before: usize) -> Result<String, Malformed> {
    if before == MAX_NOMINATIONS || !token.iter().copied().all(is_token) {
        return Err(Malformed);
    }
    Ok(String::from_utf8_lossy(token).to_ascii_lowercase())
}

/// Whether a byte is a character of a token (RFC 9110, section 5.6.2).
pub const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(connection: &[&str]) -> Fields {
        let mut fields = Fields::new();
        for value in connection {
            fields
                .append("Connection", value.as_bytes())
                .expect("there is room");
        }
        for name in [
            "X-Proxy",
            "X-User",
            "Host",
            "Cookie",
            "Cache-Control",
            "X-Forwarded-For",
            "Content-Length",
        ] {
            fields.append(name, b"1").expect("there is room");
        }
        fields
    }

    #[test]
    fn options_in_several_lines_are_one_list() {
        let mut of = fields(&["keep-alive", "close, TE,, Upgrade"]);
        let options = Options::take_of_request(&mut of).expect("a list of tokens");
        assert!(options.close && options.keep_alive && options.upgrade && options.te);
        assert_eq!(of.len(), 9, "nothing is nominated");
        assert_eq!(Options::take_of_request(&mut fields(&[])), Ok(Options::default()));
    }

    #[test]
    fn nominated_fields_are_removed() {
        let mut of = fields(&["close, X-Proxy", "x-user"]);
        Options::take_of_request(&mut of).expect("a list of tokens");
        assert_eq!((of.get("x-proxy"), of.get("x-user")), (None, None));
        let mut of = fields(&["X-Proxy"]);
        Options::take_of_response(&mut of).expect("a list of tokens");
        assert_eq!(of.get("x-proxy"), None);
    }

    #[test]
    fn nominated_fields_that_route_or_are_for_the_backend_stay() {
        for name in ["Host", "Cookie", "Cache-Control", "X-Forwarded-For"] {
            let mut of = fields(&[name]);
            assert!(Options::take_of_request(&mut of).is_ok());
            assert!(of.get(name).is_some(), "{name}");
        }
        for name in ["Content-Length", "Cache-Control"] {
            let mut of = fields(&[name]);
            assert!(Options::take_of_response(&mut of).is_ok());
            assert!(of.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn nominated_framing_fields_of_requests_are_refused() {
        for value in ["content-length", "Transfer-Encoding", "close, CONTENT-LENGTH"] {
            assert_eq!(
                Options::take_of_request(&mut fields(&[value])),
                Err(Malformed),
                "{value}"
            );
        }
    }

    #[test]
    fn malformed_or_too_many_nominations_are_refused() {
        for value in [":authority", "a b", "a;b", "\"close\"", "ä", "a\u{0}"] {
            assert_eq!(
                Options::take_of_request(&mut fields(&[value])),
                Err(Malformed),
                "{value:?}"
            );
            assert_eq!(
                Options::take_of_response(&mut fields(&[value])),
                Err(Malformed),
                "{value:?}"
            );
        }
        let ten = ["x"; MAX_NOMINATIONS].join(",");
        assert!(Options::take_of_request(&mut fields(&[&ten])).is_ok());
        assert_eq!(
            Options::take_of_request(&mut fields(&[&ten, "x"])),
            Err(Malformed)
        );
    }
}
