//! The request of `pace route`, as the command line has it.

use pace_wire::refusal::Refusal;
use pace_wire::request::{RequestHead, Rules};

use crate::cli::RouteArgs;

/// A request that is sent nowhere.
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The port that a client would connect to, if the URL says so.
    pub(crate) port: Option<u16>,
}

/// Why the command line has no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0:?} is neither a URL such as http://example.com/path nor a path")]
    Url(String),
    #[error("{0:?} is no field: write it as 'NAME: VALUE'")]
    Field(String),
    #[error("Pace refuses this request before any route, with {status}: {0}", status = .0.status())]
    Refused(Refusal),
}

impl Request {
    /// Reads the request as the proxy would.
    pub(crate) fn new(args: &RouteArgs, rules: &Rules) -> Result<Request, RequestError> {
        let url = args.url.split('#').next().unwrap_or_default();
        let (scheme, authority, target) = split(url).ok_or_else(|| RequestError::Url(url.to_owned()))?;
        let named = |field: &String| {
            let name = field.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case("host")
        };
        let host = authority.filter(|_| !args.headers.iter().any(named));
        let has_host = authority.is_some() || args.headers.iter().any(named);
        // A request of HTTP/1.1 would need a host.
        let version = if has_host { "HTTP/1.1" } else { "HTTP/1.0" };
        let mut head = format!("{} {target} {version}\r\n", args.method);
        if let Some(host) = host {
            head += &format!("Host: {host}\r\n");
        }
        for field in &args.headers {
            let is_field = field.contains(':') && !field.contains(['\r', '\n']);
            match is_field {
                true => head += &format!("{field}\r\n"),
                false => return Err(RequestError::Field(field.clone())),
            }
        }
        head += "\r\n";
        let mut read = RequestHead::new();
        read.read(head.as_bytes(), rules).map_err(RequestError::Refused)?;
        let port = authority.map(|authority| {
            let port = authority.rsplit(':').next().and_then(|port| port.parse().ok());
            port.unwrap_or(if scheme == "https" { 443 } else { 80 })
        });
        Ok(Request {
            head: read,
            scheme,
            port,
        })
    }
}

/// Scheme, authority and target of a URL.
fn split(url: &str) -> Option<(&'static str, Option<&str>, String)> {
    if url.starts_with('/') || url == "*" {
        return Some(("http", None, url.to_owned()));
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["http", "https"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("/{target}"),
    };
    (!authority.is_empty()).then_some((scheme, Some(authority), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_scheme_authority_and_target() {
        for (url, scheme, authority, target) in [
            ("http://a.test", "http", Some("a.test"), "/"),
            ("HTTPS://a.test:8443/x?y", "https", Some("a.test:8443"), "/x?y"),
            ("https://a.test?y", "https", Some("a.test"), "/?y"),
            ("/x?y", "http", None, "/x?y"),
            ("*", "http", None, "*"),
        ] {
            assert_eq!(split(url), Some((scheme, authority, target.to_owned())), "{url}");
        }
        for url in ["", "a.test", "ftp://a", "http://", "http:///x"] {
            assert_eq!(split(url), None, "{url}");
        }
    }
}
