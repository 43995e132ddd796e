//! The ways in which a response can be broken.

/// A fault in what a backend sent. The client gets 502, or, once its response has begun, a connection that
/// closes before the response's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A line of the head ends with LF alone.
    BareLineFeed,
    /// The status line is none of HTTP/1.0 or HTTP/1.1 (RFC 9112, section 4).
    StatusLine,
    /// A line is not a field line (RFC 9112, section 5).
    FieldLine,
    /// The head is too long, or has too many fields.
    HeadTooLarge,
    /// Content-Length is not a number, or several differ (RFC 9110, section 8.6).
    ContentLength,
    /// Content-Length and Transfer-Encoding together.
    LengthAndCoding,
    /// Transfer-Encoding is not exactly `chunked`, or comes in HTTP/1.0 (RFC 9112, section 6.1).
    TransferEncoding,
    /// `Connection` is not a list of tokens.
    Connection,
    /// 101 to a request without an upgrade (RFC 9110, section 15.2.2).
    UnaskedUpgrade,
    /// 101 without `Upgrade`, or without the option of that name (RFC 9110, section 7.8).
    Upgrade,
    /// A field that is about a connection, in a stream of HTTP/2 (RFC 9113, section 8.2.2).
    ConnectionField,
    /// A stream of HTTP/2 that ends with its head, which declares content (RFC 9113, section 8.1.1).
    ContentMissing,
    /// Too many interim responses.
    InterimResponses,
    /// The line or end of a chunk violates RFC 9112, section 7.1.
    Chunk,
    /// The trailer section violates RFC 9112, section 7.1.2, or is too long.
    Trailer,
}

impl Broken {
    /// The fault as one line for the log.
    pub fn text(self) -> &'static str {
        match self {
            Broken::BareLineFeed => "a line of the response's head ends without CR",
            Broken::StatusLine => "the response has no valid status line",
            Broken::FieldLine => "a field line of the response is malformed",
            Broken::HeadTooLarge => "the response's head is too large",
            Broken::ContentLength => "the response's Content-Length is malformed",
            Broken::LengthAndCoding => "the response has both Content-Length and Transfer-Encoding",
            Broken::TransferEncoding => "the response's Transfer-Encoding is not exactly `chunked`",
            Broken::Connection => "the response's Connection is malformed",
            Broken::UnaskedUpgrade => "an upgrade that nobody asked for",
            Broken::Upgrade => "the response switches protocols without saying to which",
            Broken::ConnectionField => {
                "a field of the response is about a connection, which a stream of HTTP/2 has none of"
            }
            Broken::ContentMissing => "the response ends with its head, and its Content-Length is not 0",
            Broken::InterimResponses => "too many interim responses",
            Broken::Chunk => "a chunk of the response is malformed",
            Broken::Trailer => "the response's trailer section is malformed or too long",
        }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.text())
    }
}

impl std::error::Error for Broken {}
