//! Where redirects lead.

use std::fmt;

use pace_wire::authority::is_authority;

/// A URL with placeholders for parts of the request that is redirected.
///
/// The request's query is kept, unless the URL says something of a query itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUrl {
    text: String,
    parts: Vec<Part>,
    keeps_query: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Scheme,
    Host,
    Path,
    Query,
}

/// The parts of a request that placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct Redirected<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host without its port, if the request names one.
    pub host: Option<&'a str>,
    /// The path, which begins with `/`.
    pub path: &'a str,
    /// The text behind the first `?`.
    pub query: Option<&'a str>,
}

const PLACEHOLDERS: &str = "{scheme}, {host}, {path} and {query}";

impl RedirectUrl {
    /// Parses a URL with placeholders. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<RedirectUrl, String> {
        let is_allowed = |c: char| c.is_ascii_graphic() && !"\"#<>\\^`|".contains(c);
        if let Some(wrong) = text.chars().find(|c| !is_allowed(*c)) {
            return Err(format!(
                "{text:?} has {wrong:?}: a URL is ASCII, with other characters percent-encoded and without fragment"
            ));
        }
        let (written, keeps_query) = match text.strip_suffix('?') {
            Some(without) => (without, false),
            None => (text, !text.contains('?')),
        };
        let url = RedirectUrl {
            text: text.to_owned(),
            parts: parts(written).map_err(|reason| format!("{text:?}: {reason}"))?,
            keeps_query,
        };
        let leads_to_url = |path| {
            let request = Redirected {
                scheme: "https",
                host: Some("host"),
                path,
                query: None,
            };
            url.of(&request).is_some_and(|url| is_url(&url))
        };
        // The path of `https:/{path}` would be taken for a host, which only the shortest path shows.
        match leads_to_url("/path") && leads_to_url("/") {
            true => Ok(url),
            false => Err(format!(
                "{text:?} must be a URL with `http://` or `https://`, or begin with one `/`"
            )),
        }
    }

    /// The URL for a request. `None` if it has a host, and the request names none.
    pub fn of(&self, request: &Redirected<'_>) -> Option<String> {
        let query = request.query.unwrap_or_default();
        let mut url = String::with_capacity(self.text.len() + request.path.len() + query.len() + 1);
        for part in &self.parts {
            url.push_str(match part {
                Part::Text(text) => text,
                Part::Scheme => request.scheme,
                Part::Host => request.host?,
                Part::Path => request.path,
                Part::Query => query,
            });
        }
        // `{path}/` of the root: two slashes would begin a host.
        if self.parts.first() == Some(&Part::Path) && url.starts_with("//") {
            url.remove(0);
        }
        if let (true, Some(query)) = (self.keeps_query, request.query) {
            url.push('?');
            url.push_str(query);
        }
        Some(url)
    }
}

impl fmt::Display for RedirectUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or("`{` without `}`")?;
        let part = match name {
            "scheme" if parts.is_empty() && before.is_empty() => Part::Scheme,
            "scheme" => return Err("{scheme} is for the beginning".to_owned()),
            "host" => Part::Host,
            "path" => Part::Path,
            // In front of it, whoever makes a link could have it lead anywhere.
            "query" if text[..text.len() - behind.len()].contains('?') => Part::Query,
            "query" => {
                return Err("{query} is for behind a `?`; without one the query is kept anyway".to_owned());
            }
            _ => return Err(format!("there is no {{{name}}}; there are {PLACEHOLDERS}")),
        };
        push_text(&mut parts, before)?;
        parts.push(part);
        rest = after;
    }
    push_text(&mut parts, rest)?;
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("`}` without `{`".to_owned());
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// Whether a text is an absolute URL of HTTP, or a path on the same host.
fn is_url(url: &str) -> bool {
    let schemes = ["http://", "https://"];
    match schemes.iter().find_map(|scheme| url.strip_prefix(scheme)) {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            is_authority(&rest.as_bytes()[..end])
        }
        // `//host` is another host.
        None => url.starts_with('/') && !url.starts_with("//"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Redirected<'_> = Redirected {
        scheme: "http",
        host: Some("a.test"),
        path: "/b/c",
        query: Some("d=e"),
    };

    fn redirected(to: &str, request: &Redirected<'_>) -> Option<String> {
        let url = RedirectUrl::parse(to).unwrap_or_else(|reason| panic!("{reason}"));
        url.of(request)
    }

    #[test]
    fn placeholders_stand_for_parts_of_the_request() {
        for (to, url) in [
            ("https://www.test{path}", "https://www.test/b/c?d=e"),
            ("https://{host}:8443{path}", "https://a.test:8443/b/c?d=e"),
            ("{scheme}://www.{host}/x", "http://www.a.test/x?d=e"),
            ("/new{path}", "/new/b/c?d=e"),
            ("{path}/", "/b/c/?d=e"),
            ("{scheme}://{host}{path}", "http://a.test/b/c?d=e"),
            ("https://www.test", "https://www.test?d=e"),
            ("https://www.test{path}?", "https://www.test/b/c"),
            (
                "https://www.test/?from={path}&{query}",
                "https://www.test/?from=/b/c&d=e",
            ),
            ("/x?y=z", "/x?y=z"),
        ] {
            assert_eq!(redirected(to, &REQUEST).as_deref(), Some(url), "{to}");
        }
    }

    #[test]
    fn part_that_the_request_lacks_is_left_out_but_not_the_host() {
        let bare = Redirected {
            host: None,
            query: None,
            ..REQUEST
        };
        assert_eq!(redirected("/new{path}", &bare).as_deref(), Some("/new/b/c"));
        assert_eq!(redirected("/new?x&{query}", &bare).as_deref(), Some("/new?x&"));
        assert_eq!(redirected("https://{host}/", &bare), None);
    }

    #[test]
    fn path_in_front_is_never_taken_for_a_host() {
        let root = Redirected {
            path: "/",
            query: None,
            ..REQUEST
        };
        assert_eq!(redirected("{path}/", &root).as_deref(), Some("/"));
        assert_eq!(redirected("{path}{path}", &root).as_deref(), Some("/"));
        assert_eq!(redirected("{path}/{host}", &root).as_deref(), Some("/a.test"));
    }

    #[test]
    fn url_that_leads_nowhere_or_anywhere_is_refused() {
        for (to, reason) in [
            ("", "must be a URL"),
            ("www.test", "must be a URL"),
            ("//www.test", "must be a URL"),
            ("ftp://www.test", "must be a URL"),
            ("https://", "must be a URL"),
            ("https://{path}", "must be a URL"),
            ("https:/{path}", "must be a URL"),
            ("{scheme}:/{path}", "must be a URL"),
            ("https:{path}{path}", "must be a URL"),
            ("https://a@b/", "must be a URL"),
            ("https://a:port/", "must be a URL"),
            ("https://a b", "a URL is ASCII"),
            ("https://a/é", "a URL is ASCII"),
            ("https://a/\r\nx: y", "a URL is ASCII"),
            ("https://a/#b", "without fragment"),
            (
                "https://a/{uri}",
                "there is no {uri}; there are {scheme}, {host}, {path} and {query}",
            ),
            ("https://a/{", "`{` without `}`"),
            ("https://a/}", "`}` without `{`"),
            ("https://a/{path}}", "`}` without `{`"),
            ("https://a{query}", "{query} is for behind a `?`"),
            ("/{scheme}", "{scheme} is for the beginning"),
        ] {
            let error = RedirectUrl::parse(to).expect_err(to);
            assert!(error.contains(reason), "{to}: {error}");
        }
    }
}
