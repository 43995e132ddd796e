//! Why a request is refused before any routing.

/// A fault in a request: the client's, or that of an intermediary.
///
/// Each refusal has the status of its answer, a name for metrics and log, and one line for a person. The
/// connection closes after the answer: where the next request would begin is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The first bytes are not a request of HTTP/1.
    NotHttp,
    /// A line ends with LF alone.
    BareLineFeed,
    /// The request line is not `method SP target SP version` (RFC 9112, section 3).
    RequestLine,
    /// The method is not a token, or has more than [`MAX_METHOD`](crate::request::MAX_METHOD) characters.
    Method,
    /// The version is another than HTTP/1.0 and HTTP/1.1.
    Version,
    /// CONNECT or TRACE, which a reverse proxy does not serve.
    MethodNotImplemented,
    /// The request line is too long.
    TargetTooLong,
    /// The head is too long, or has too many fields.
    HeadTooLarge,
    /// The head of a stream of HTTP/2 breaks a rule of RFC 9113, section 8. The stream is reset, without an answer.
    MalformedHead,
    /// A stream of HTTP/2 is one more than there may be on the connection. It is reset, and the client may try again.
    TooManyStreams,
    /// A line is not a field line (RFC 9112, section 5).
    FieldLine,
    /// A field's name has an underscore, and the operator refuses these.
    Underscore,
    /// The target is none of the four forms, or has characters that none of them may have (RFC 9112, section 3.2).
    Target,
    /// The path has an encoded slash or a backslash, which servers interpret in two ways.
    EncodedSlash,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// Host is not a host with an optional port (RFC 9112, section 3.2).
    Host,
    /// Content-Length is not a number, or several differ (RFC 9110, section 8.6).
    ContentLength,
    /// Content-Length and Transfer-Encoding together.
    LengthAndCoding,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// `chunked` twice or not last, an empty Transfer-Encoding, or one in HTTP/1.0 (RFC 9112, section 6.1).
    TransferEncoding,
    /// `Connection` names a field that frames the message, is not a list of tokens, or has too many of them.
    Connection,
    /// The line or end of a chunk violates RFC 9112, section 7.1.
    Chunk,
    /// The trailer section violates RFC 9112, section 7.1.2, or is too long.
    Trailer,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than the route allows.
    BodyTooLarge,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Refusal; 27] = [
        Refusal::NotHttp,
        Refusal::BareLineFeed,
        Refusal::RequestLine,
        Refusal::Method,
        Refusal::Version,
        Refusal::MethodNotImplemented,
        Refusal::TargetTooLong,
        Refusal::HeadTooLarge,
        Refusal::MalformedHead,
        Refusal::TooManyStreams,
        Refusal::FieldLine,
        Refusal::Underscore,
        Refusal::Target,
        Refusal::EncodedSlash,
        Refusal::HostMissing,
        Refusal::HostRepeated,
        Refusal::Host,
        Refusal::ContentLength,
        Refusal::LengthAndCoding,
        Refusal::TransferCoding,
        Refusal::TransferEncoding,
        Refusal::Connection,
        Refusal::Chunk,
        Refusal::Trailer,
        Refusal::HeadTimeout,
        Refusal::BodyTimeout,
        Refusal::BodyTooLarge,
    ];

    /// The status of the answer. Where a stream is reset instead, the log has it all the same.
    pub fn status(self) -> u16 {
        match self {
            Refusal::NotHttp
            | Refusal::BareLineFeed
            | Refusal::RequestLine
            | Refusal::Method
            | Refusal::MalformedHead
            | Refusal::FieldLine
            | Refusal::Underscore
            | Refusal::Target
            | Refusal::EncodedSlash
            | Refusal::HostMissing
            | Refusal::HostRepeated
            | Refusal::Host
            | Refusal::ContentLength
            | Refusal::LengthAndCoding
            | Refusal::TransferEncoding
            | Refusal::Connection
            | Refusal::Chunk
            | Refusal::Trailer => 400,
            Refusal::HeadTimeout | Refusal::BodyTimeout => 408,
            Refusal::BodyTooLarge => 413,
            Refusal::TargetTooLong => 414,
            Refusal::TooManyStreams => 503,
            Refusal::HeadTooLarge => 431,
            Refusal::MethodNotImplemented | Refusal::TransferCoding => 501,
            Refusal::Version => 505,
        }
    }

    /// The name in metrics and the log.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::NotHttp => "not-http",
            Refusal::BareLineFeed => "bare-line-feed",
            Refusal::RequestLine => "request-line",
            Refusal::Method => "method",
            Refusal::Version => "version",
            Refusal::MethodNotImplemented => "method-not-implemented",
            Refusal::TargetTooLong => "target-too-long",
            Refusal::HeadTooLarge => "head-too-large",
            Refusal::MalformedHead => "malformed-head",
            Refusal::TooManyStreams => "too-many-streams",
            Refusal::FieldLine => "field-line",
            Refusal::Underscore => "underscore",
            Refusal::Target => "target",
            Refusal::EncodedSlash => "encoded-slash",
            Refusal::HostMissing => "host-missing",
            Refusal::HostRepeated => "host-repeated",
            Refusal::Host => "host",
            Refusal::ContentLength => "content-length",
            Refusal::LengthAndCoding => "length-and-coding",
            Refusal::TransferCoding => "transfer-coding",
            Refusal::TransferEncoding => "transfer-encoding",
            Refusal::Connection => "connection",
            Refusal::Chunk => "chunk",
            Refusal::Trailer => "trailer",
            Refusal::HeadTimeout => "head-timeout",
            Refusal::BodyTimeout => "body-timeout",
            Refusal::BodyTooLarge => "body-too-large",
        }
    }

    /// The answer's body: one line for a person.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::NotHttp => "bad request: this port speaks HTTP/1.1, and these bytes do not\n",
            Refusal::BareLineFeed => "bad request: a line ends without CR\n",
            Refusal::RequestLine => "bad request: the request line is malformed\n",
            Refusal::Method => "bad request: the method is malformed\n",
            Refusal::Version => "HTTP version not supported: it is HTTP/1.0 or HTTP/1.1\n",
            Refusal::MethodNotImplemented => "not implemented: this method\n",
            Refusal::TargetTooLong => "URI too long\n",
            Refusal::HeadTooLarge => "request header fields too large\n",
            Refusal::MalformedHead => "bad request: the head is malformed\n",
            Refusal::TooManyStreams => "too many requests at once on this connection\n",
            Refusal::FieldLine => "bad request: a field line is malformed\n",
            Refusal::Underscore => "bad request: the name of a field has an underscore\n",
            Refusal::Target => "bad request: the target is malformed\n",
            Refusal::EncodedSlash => "bad request: the path has an encoded slash or a backslash\n",
            Refusal::HostMissing => "bad request: Host is missing\n",
            Refusal::HostRepeated => "bad request: there is more than one Host\n",
            Refusal::Host => "bad request: Host is malformed\n",
            Refusal::ContentLength => "bad request: Content-Length is malformed\n",
            Refusal::LengthAndCoding => {
                "bad request: Content-Length and Transfer-Encoding exclude each other\n"
            }
            Refusal::TransferCoding => "not implemented: a transfer coding other than chunked\n",
            Refusal::TransferEncoding => "bad request: Transfer-Encoding is malformed\n",
            Refusal::Connection => "bad request: Connection is malformed\n",
            Refusal::Chunk => "bad request: a chunk is malformed\n",
            Refusal::Trailer => "bad request: the trailer section is malformed or too long\n",
            Refusal::HeadTimeout => "request timeout: the head did not arrive in time\n",
            Refusal::BodyTimeout => "request timeout: the body did not arrive in time\n",
            Refusal::BodyTooLarge => "content too large\n",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.text().trim_end())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_has_each_refusal_once_with_its_own_name() {
        let names: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
        assert_eq!(names.len(), Refusal::ALL.len());
    }

    #[test]
    fn text_of_every_refusal_is_one_line() {
        for refusal in Refusal::ALL {
            assert_eq!(
                refusal.text().find('\n'),
                Some(refusal.text().len() - 1),
                "{refusal:?}"
            );
        }
    }
}
