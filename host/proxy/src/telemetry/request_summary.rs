//! The summary of a request by which warnings name it: the client's own words, escaped.

use std::fmt;

use pace_base::escape::{Quoted, Word};

/// The request as the client sent it. `Display` is `GET "/path?query", Host "example.com"`.
#[derive(Clone, Copy, Debug)]
pub struct RequestSummary<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a [u8],
    /// The value of `Host`, if there is one.
    pub host: Option<&'a [u8]>,
}

impl fmt::Display for RequestSummary<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", Word(self.method.as_bytes()), Quoted(self.target))?;
        match self.host {
            Some(host) => write!(out, ", Host {}", Quoted(host)),
            None => write!(out, ", no Host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_hostile_request_is_escaped_within_quotes() {
        let summary = RequestSummary {
            method: "GET",
            target: b"/a\xff?b=\"",
            host: Some("a\", Host \"b\u{202e}\n".as_bytes()),
        };
        assert_eq!(
            summary.to_string(),
            r#"GET "/a\xff?b=\"", Host "a\", Host \"b\u{202e}\n""#
        );
        let none = RequestSummary {
            host: None,
            ..summary
        };
        assert!(none.to_string().ends_with(r#"", no Host"#));
    }
}
