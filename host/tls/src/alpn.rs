//! The protocols that a TLS connection can be agreed to carry.

/// A protocol above TLS, as ALPN (RFC 7301) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Alpn {
    /// All known protocols.
    pub const ALL: [Alpn; 2] = [Alpn::Http11, Alpn::Http2];

    /// The registered name: `http/1.1` or `h2`.
    pub fn name(self) -> &'static str {
        match self {
            Alpn::Http11 => "http/1.1",
            Alpn::Http2 => "h2",
        }
    }

    /// The protocol of that registered name.
    pub fn from_name(name: &str) -> Option<Alpn> {
        Alpn::ALL.into_iter().find(|alpn| alpn.name() == name)
    }

    pub(crate) fn of(negotiated: Option<&[u8]>) -> Option<Alpn> {
        let name = negotiated?;
        Alpn::ALL.into_iter().find(|alpn| alpn.name().as_bytes() == name)
    }

    pub(crate) fn wire(list: &[Alpn]) -> Vec<Vec<u8>> {
        list.iter().map(|alpn| alpn.name().as_bytes().to_vec()).collect()
    }
}
