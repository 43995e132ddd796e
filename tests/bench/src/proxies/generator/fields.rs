//! The heads of requests in HTTP/2, compressed as browsers do it (HPACK, RFC 7541).
//!
//! The first head of a connection puts its fields into the proxy's table, and all others refer to them: a few bytes each.

use super::tls::NAME;
use crate::proxies::http::{self, FEWEST_HEADERS, Shape, TARGET, USER_AGENT};

/// The requests of a connection.
pub(super) struct Requests {
    /// The first head.
    pub(super) first: Vec<u8>,
    /// Every other head.
    pub(super) further: Vec<u8>,
    /// The body of each request.
    pub(super) body: Vec<u8>,
}

/// Entries of the static table (appendix A).
mod entry {
    pub(super) const AUTHORITY: u8 = 1;
    pub(super) const METHOD_GET: u8 = 2;
    pub(super) const METHOD_POST: u8 = 3;
    pub(super) const PATH: u8 = 4;
    pub(super) const SCHEME_HTTPS: u8 = 7;
    pub(super) const ACCEPT: u8 = 19;
    pub(super) const CONTENT_LENGTH: u8 = 28;
    pub(super) const USER_AGENT: u8 = 58;
    /// The newest entry of the dynamic table.
    pub(super) const NEWEST: u8 = 62;
}

/// A field that is an entry of a table (section 6.1).
const INDEXED: u8 = 0x80;

/// A field whose name is an entry, and which becomes an entry itself (section 6.2.1).
const ADDED: u8 = 0x40;

impl Requests {
    /// Creates requests of this shape.
    pub(super) fn new(shape: &Shape) -> Requests {
        debug_assert!(
            shape.headers == FEWEST_HEADERS && shape.clients.is_none(),
            "other shapes are for HTTP/1.1"
        );
        let length = shape.body.to_string();
        let mut fields = vec![
            (entry::PATH, TARGET),
            (entry::AUTHORITY, NAME),
            (entry::USER_AGENT, USER_AGENT),
            (entry::ACCEPT, "*/*"),
        ];
        let method = match shape.body {
            0 => entry::METHOD_GET,
            _ => {
                fields.push((entry::CONTENT_LENGTH, &length));
                entry::METHOD_POST
            }
        };
        let begin = [INDEXED | method, INDEXED | entry::SCHEME_HTTPS];
        let (mut first, mut further) = (begin.to_vec(), begin.to_vec());
        for (position, (name, value)) in fields.iter().enumerate() {
            first.push(ADDED | name);
            first.push(u8::try_from(value.len()).expect("the values are short"));
            first.extend_from_slice(value.as_bytes());
            let newer = u8::try_from(fields.len() - 1 - position).expect("there are few fields");
            further.push(INDEXED | (entry::NEWEST + newer));
        }
        Requests {
            first,
            further,
            body: http::body(shape.body),
        }
    }
}
