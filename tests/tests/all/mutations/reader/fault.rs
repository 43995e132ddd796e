//! The faults that a message can have, by the rule that each breaks.

/// The reason why bytes are no message. Sections are those of RFC 9112 unless another is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A line ends with LF alone (2.2).
    BareLineFeed,
    /// A CR is not followed by LF (2.2).
    BareCarriageReturn,
    /// A control byte, or DEL, is where none may be (RFC 9110, 5.5).
    ControlByte,
    /// The first line is not three parts with one space between (3, 4).
    StartLine,
    /// The method is no token (3.1).
    Method,
    /// The target has bytes outside of visible ASCII (3.2).
    TargetByte,
    /// The target has none of the four forms, or one that its method does not allow (3.2).
    TargetForm,
    /// The version is not `HTTP/1.x` (2.3).
    Version,
    /// The status is not three digits from 100 on (4).
    Status,
    /// A field line has no colon, or a name that is no token (5, 5.1).
    FieldName,
    /// A line continues the previous one, in a request (5.2).
    Fold,
    /// HTTP/1.1 without Host, or with several (3.2).
    HostCount,
    /// Host is not a host with an optional port (3.2; RFC 9110, 7.2).
    HostValue,
    /// Content-Length is no number, or several numbers (6.3).
    Length,
    /// Content-Length and Transfer-Encoding are in one request (6.1).
    LengthAndCoding,
    /// Transfer-Encoding does not have `chunked` once and at its end, or is not understood (6.1).
    Coding,
    /// Connection has an element that is no token (RFC 9110, 7.6.1).
    ConnectionOption,
    /// A chunk's size is no hexadecimal number of at most 16 digits (7.1).
    ChunkSize,
    /// A chunk's extension is malformed (7.1.1).
    ChunkExtension,
    /// A chunk's data is not followed by CRLF (7.1).
    ChunkEnd,
    /// A response switches protocols though no upgrade was asked for (RFC 9110, 15.2.2).
    UnaskedUpgrade,
}

/// An irregularity that can be read in only one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Quirk {
    /// More than one empty line before the first, or one before a response (2.2).
    EmptyLines,
    /// A minor version above 1 (RFC 9110, 2.5).
    MinorVersion,
    /// Characters in the target that no URI has, or a malformed escape.
    TargetCharacters,
    /// A user name in the target (RFC 9110, 4.2.4).
    UserInfo,
    /// A target whose authority is not the Host (3.2.2).
    OtherAuthority,
    /// A Host that the grammar allows and nobody uses: empty, escaped, with `,` or `;` in it, an odd port.
    OddHost,
    /// The same length more than once (6.3).
    RepeatedLength,
    /// Leading zeros in a number.
    LeadingZeros,
    /// Empty elements in the list of codings (RFC 9110, 5.6.1).
    EmptyCoding,
    /// Transfer-Encoding in HTTP/1.0 (6.1).
    OldVersionCoding,
    /// White space around the parts of a chunk's extension (7.1.1).
    ChunkSpace,
    /// A chunk's line or trailers so long that some readers refuse them.
    LongLine,
    /// An expectation that is not defined (RFC 9110, 10.1.1).
    Expectation,
    /// A line that continues the previous one, in a response (5.2).
    FoldedLine,
    /// White space between name and colon, in a response (5.1).
    SpaceBeforeColon,
    /// Lines of a response's head that end with LF alone (2.2).
    LineFeeds,
    /// Content-Length and Transfer-Encoding in one response (6.3).
    LengthBesideCoding,
    /// Codings of a response that are not `chunked` (6.1).
    UnknownCoding,
    /// Framing of a response that has no body (6.3; RFC 9110, 8.6).
    FramingWithoutBody,
    /// A status above 599 (RFC 9110, 15).
    OddStatus,
    /// No space after the status, or none between status and reason (4).
    NoReason,
    /// A Connection of a response with an element that is no token.
    OddOption,
    /// A response that switches protocols and does not name one, or not in Connection (RFC 9110, 7.8).
    OddUpgrade,
}
