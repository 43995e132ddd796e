//! HTTP/1.1 messages to the letter: what is read, what is refused and why, what is written.
//!
//! Everything here is pure: bytes come in, heads, data and faults go out. No socket, clock, configuration or policy is
//! known, so that each rule is tested and fuzzed alone. The rules are those of RFC 9110 and RFC 9112, and where these
//! leave a choice the one that nobody can read in two ways.
//!
//! ```text
//!             HeadScan             parse                         normalise
//! bytes ──▶ where the head ends ──▶ RequestHead, ResponseHead ──▶ Target
//!                                    │ Fields, Options, framing
//!                                    ▼
//! bytes ──▶ chunked::Decoder ──▶ data, trailers                   encode ──▶ bytes
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`fields`], [`known`] | field lines in the order and case in which they came, and the names that mean something here |
//! | [`scan`] | the end of a head, found in time linear in its bytes |
//! | [`request`], [`response`] | the heads of messages |
//! | [`target`], [`path`], [`authority`] | what is asked for: the four forms, one spelling for each path, hosts and ports |
//! | [`framing`], [`connection`] | where a body ends, and what is said of the connection alone |
//! | [`chunked`] | bodies in chunks, with extensions and trailers |
//! | [`encode`] | heads and chunks as they are written |
//! | [`refusal`], [`broken`] | why a request is refused, and how a response is broken |

pub mod authority;
pub mod broken;
pub mod chunked;
pub mod connection;
pub mod encode;
pub mod fields;
pub mod framing;
pub mod known;
pub mod path;
pub mod refusal;
pub mod request;
pub mod response;
pub mod scan;
pub mod target;
