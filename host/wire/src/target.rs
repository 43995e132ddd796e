//! The target of a request: the four forms of RFC 9112, section 3.2.

use http::Method;

use crate::authority::is_authority;
use crate::path::{self, EncodedSlashes};
use crate::refusal::Refusal;

/// A target in the form that routing uses and backends receive: the origin form, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The path in its one spelling, and the query as it was sent.
    text: String,
    path: usize,
}

impl Target {
    /// Reads a target. Returns the authority of the absolute form, which replaces `Host` (section 3.2.2).
    ///
    /// The memory of the previous target is reused.
    pub fn read<'a>(
        &mut self,
        target: &'a [u8],
        method: &Method,
        slashes: EncodedSlashes,
    ) -> Result<Option<&'a str>, Refusal> {
        self.text.clear();
        self.path = 0;
        match target.first() {
            Some(b'/') => self.read_path_and_query(target, slashes).map(|()| None),
            Some(b'*') if target.len() == 1 && *method == Method::OPTIONS => {
                self.set_asterisk();
                Ok(None)
            }
            _ => self.read_absolute(target, method, slashes).map(Some),
        }
    }

    /// The path in its one spelling, without query; `*` for the server as a whole.
    pub fn path(&self) -> &str {
        &self.text[..self.path]
    }

    /// The text after the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path + 1..)
    }

    /// Path and query, as they are sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Replaces path and query. They must begin with `/` and have only visible ASCII characters without `#`.
    pub fn set(&mut self, path_and_query: &str) {
        self.text.clear();
        self.text.push_str(path_and_query);
        self.path = path_and_query.find('?').unwrap_or(path_and_query.len());
    }

    /// A target of a path, which begins with `/`, and a query.
    pub(crate) fn with_query(path: String, query: Option<&str>) -> Target {
        let mut target = Target {
            path: path.len(),
            text: path,
        };
        if let Some(query) = query {
            target.text.push('?');
            target.text.push_str(query);
        }
        target
    }

    /// Clears the target, and keeps at most `keep` bytes of its memory.
    pub fn clear(&mut self, keep: usize) {
        self.text.clear();
        self.text.shrink_to(keep);
        self.path = 0;
    }

    fn set_asterisk(&mut self) {
        self.text.push('*');
        self.path = 1;
    }

    fn read_absolute<'a>(
        &mut self,
        target: &'a [u8],
        method: &Method,
        slashes: EncodedSlashes,
    ) -> Result<&'a str, Refusal> {
        let rest = strip_scheme(target).ok_or(Refusal::Target)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
        if !is_authority(authority) {
            return Err(Refusal::Target);
        }
        match path.first() {
            // Section 3.2.4.
            None if *method == Method::OPTIONS => self.set_asterisk(),
            None => self.set("/"),
            Some(b'/') => self.read_path_and_query(path, slashes)?,
            _ => {
                self.text.push('/');
                self.path = 1;
                self.read_query(path)?;
            }
        }
        std::str::from_utf8(authority).map_err(|_| Refusal::Target)
    }

    fn read_path_and_query(&mut self, target: &[u8], slashes: EncodedSlashes) -> Result<(), Refusal> {
        let path = memchr::memchr(b'?', target).unwrap_or(target.len());
        path::normalise(&target[..path], slashes, &mut self.text)?;
        self.path = self.text.len();
        self.read_query(&target[path..])
    }

    /// Reads `?` and the text after it, if there is any.
    fn read_query(&mut self, query: &[u8]) -> Result<(), Refusal> {
        let is_allowed = |byte: &u8| matches!(byte, 0x21..=0x7e) && *byte != b'#';
        match std::str::from_utf8(query) {
            Ok(text) if query.iter().all(is_allowed) => {
                self.text.push_str(text);
                Ok(())
            }
            _ => Err(Refusal::Target),
        }
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (begin, rest) = target.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, target: &str) -> Result<(String, Option<String>), Refusal> {
        let mut into = Target::default();
        let authority = into.read(target.as_bytes(), &method, EncodedSlashes::Refuse)?;
        Ok((into.as_str().to_owned(), authority.map(str::to_owned)))
    }

    #[test]
    fn read_origin_form_is_path_and_query() {
        let mut target = Target::default();
        for (text, path, query) in [
            ("/", "/", None),
            ("/a/b", "/a/b", None),
            ("/a?", "/a", Some("")),
            ("/a?b=c?d", "/a", Some("b=c?d")),
            ("/%61?%61=//../{}|^\"", "/a", Some("%61=//../{}|^\"")),
        ] {
            let read = target.read(text.as_bytes(), &Method::GET, EncodedSlashes::Refuse);
            assert_eq!(read, Ok(None), "{text}");
            assert_eq!((target.path(), target.query()), (path, query));
        }
        target.set("/x?y");
        assert_eq!(
            (target.path(), target.query(), target.as_str()),
            ("/x", Some("y"), "/x?y")
        );
    }

    #[test]
    fn read_absolute_form_becomes_origin_form() {
        for (method, text, target, authority) in [
            (Method::GET, "http://a/x?y=1", "/x?y=1", "a"),
            (Method::GET, "HTTP://A:80", "/", "A:80"),
            (Method::GET, "https://a?q=1", "/?q=1", "a"),
            (Method::OPTIONS, "http://a", "*", "a"),
            (Method::OPTIONS, "http://a/", "/", "a"),
            (Method::POST, "http://[::1]:8080//x", "/x", "[::1]:8080"),
        ] {
            assert_eq!(
                read(method, text),
                Ok((target.to_owned(), Some(authority.to_owned()))),
                "{text}"
            );
        }
    }

    #[test]
    fn read_asterisk_is_allowed_for_options_only() {
        assert_eq!(read(Method::OPTIONS, "*"), Ok(("*".to_owned(), None)));
        for (method, text) in [
            (Method::GET, "*"),
            (Method::OPTIONS, "*x"),
            (Method::OPTIONS, "**"),
        ] {
            assert_eq!(read(method, text), Err(Refusal::Target));
        }
    }

    #[test]
    fn read_target_of_no_form_is_refused() {
        for text in [
            "",
            "admin/x",
            "?x",
            "a:80",
            "x:/y",
            "ftp://a/",
            "http:/a",
            "http://",
            "http:///x",
            "http://a b/",
            "http://user@a/",
            "http://a,b/",
            "http://a:x/",
            "http://a#x",
            "/a#b",
            "/a?b#c",
            "/a?é",
            "/a?\u{1}",
            "/a?b\u{7f}",
        ] {
            assert_eq!(read(Method::GET, text), Err(Refusal::Target), "{text:?}");
        }
    }
}
