//! A request in the words of its client, as warnings name it.

use std::fmt;

use pace_base::escape::{Quoted, Word};

/// What was asked for. `Display` is `GET "/path?query", Host "example.com"`.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a [u8],
    /// The value of `Host`, if there is one.
    pub host: Option<&'a [u8]>,
}

impl fmt::Display for Asked<'_> {
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
    fn what_a_client_says_stays_in_its_quotes() {
        let asked = Asked {
            method: "GET",
            target: b"/a\xff?b=\"",
            host: Some("a\", Host \"b\u{202e}\n".as_bytes()),
        };
        assert_eq!(
            asked.to_string(),
            r#"GET "/a\xff?b=\"", Host "a\", Host \"b\u{202e}\n""#
        );
        let none = Asked { host: None, ..asked };
        assert!(none.to_string().ends_with(r#"", no Host"#));
    }
}
