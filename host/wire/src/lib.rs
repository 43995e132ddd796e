//! HTTP/1.1 messages and the heads of HTTP/2, to the letter: how they are read and written, and which are refused and why.
//!
//! The crate is pure: bytes come in, heads, data and faults go out. It knows no socket, clock, configuration
//! or policy, so that each rule is tested and fuzzed alone. The rules are those of RFC 9110, RFC 9112 and RFC 9113.
//! Where these leave a choice, the crate takes the reading that has no second interpretation.
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
//! | [`fields`], [`known`] | field lines in the order and case in which they came, and the names that mean something to the proxy |
//! | [`scan`] | the end of a head, found in time linear in its bytes |
//! | [`request`], [`response`] | the heads of messages |
//! | [`target`], [`path`], [`query`], [`authority`] | the target of a request: the four forms, one spelling for each path, pairs of the query, hosts and ports |
//! | [`percent`] | percent-encoding, of which paths, queries and the admin API have some |
//! | [`rewrite`] | changes of paths on their way to a backend |
//! | [`cookie`] | cookies of requests |
//! | [`framing`], [`connection`] | where a body ends, and the fields about the connection alone |
//! | [`chunked`] | bodies in chunks, with extensions and trailers |
//! | [`encode`] | writing of heads and chunks |
//! | [`refusal`], [`broken`] | why a request is refused, and how a response is broken |

pub mod authority;
pub mod broken;
pub mod chunked;
pub mod connection;
pub mod cookie;
pub mod encode;
pub mod fields;
pub mod framing;
pub mod known;
pub mod path;
pub mod percent;
pub mod query;
pub mod refusal;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod scan;
pub mod target;
