//! Says which web pages may use this service (Cross-Origin Resource Sharing, in the Fetch standard).
//!
//! | key | | default |
//! |---|---|---|
//! | `origins` | the pages' origins such as `"https://app.example.com"`, or `["*"]` for all | required |
//! | `methods` | what they may do besides `GET`, `HEAD` and `POST` | none |
//! | `headers` | which headers they may send besides the harmless ones | none |
//! | `expose` | which headers of responses they may read besides the harmless ones | none |
//! | `credentials` | whether browsers send cookies along, and let pages read the answers | `false` |
//! | `max_age_seconds` | for how long a browser may remember the permission, 0 to 86400 | 600 |
//!
//! Preflight requests are answered here and reach no backend. CORS headers of backends are replaced. An
//! origin is compared as a whole; `Origin: null` belongs to no page in particular and is never allowed.

#![forbid(unsafe_code)]

use pace_plugin::{EditError, HeaderName, Integer, Plugin, Reply, Request, RequestFilter};
use pace_plugin::{Response, ResponseFilter, Verdict, error, header};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cors {
    origins: Vec<String>,
    // A method is a token, like the name of a header (RFC 9110, section 9.1).
    methods: Vec<HeaderName>,
    headers: Vec<HeaderName>,
    expose: Vec<HeaderName>,
    credentials: bool,
    max_age_seconds: Option<Integer<0, 86_400>>,
}

const ORIGIN: &str = "Access-Control-Allow-Origin";
const CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const EXPOSE: &str = "Access-Control-Expose-Headers";
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

impl Plugin for Cors {
    type Config = Cors;

    fn configure(config: Cors) -> Result<Self, String> {
        let is_for_all = config.origins == ["*"];
        let is_right = |origin: &String| is_for_all || is_origin(origin);
        if let Some(wrong) = config.origins.iter().find(|origin| !is_right(origin)) {
            const RULE: &str = "`https://host` or `https://host:port`, in lower case, without a path";
            return Err(format!("origins: `{wrong}` is not what a browser sends: {RULE}"));
        }
        if config.origins.is_empty() {
            return Err("origins: at least one is needed".into());
        }
        let mut names = config.methods.iter().chain(&config.headers).chain(&config.expose);
        // The Fetch standard takes `*` for a name then, and lets no page read such a response.
        if config.credentials && (is_for_all || names.any(|name| **name == *"*")) {
            return Err("credentials: `*` does not stand for all then: name what is meant".into());
        }
        Ok(config)
    }
}

/// Whether a browser could send this origin: scheme, host, and a port not the scheme's own (RFC 6454, section
/// 6.1).
fn is_origin(text: &str) -> bool {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    header::is_token(scheme) && !host.is_empty() && host.bytes().all(allowed) && !host.ends_with(own_port)
}

/// Whether a request is a preflight, in which a browser asks about the method that it will use.
fn is_preflight(request: &Request) -> bool {
    let has = |name| request.header(name).is_some();
    request.method() == "OPTIONS" && has("origin") && has("access-control-request-method")
}

impl Cors {
    /// The page that may read the response, as in `Access-Control-Allow-Origin`.
    fn allow(&self, request: &Request) -> Option<&str> {
        let origin = request.header("origin")?;
        let fits = |known: &&String| *known == "*" || known.as_bytes() == origin;
        self.origins.iter().find(fits).map(String::as_str)
    }

    /// The answer to a preflight request.
    fn permit(&self, origin: &str) -> Reply {
        let mut methods = vec!["GET", "HEAD", "POST"];
        methods.extend(self.methods.iter().map(HeaderName::as_str));
        let seconds = self.max_age_seconds.map_or(600, Integer::get).to_string();
        let mut reply = Reply::new(204).header("Vary", VARY).header(ORIGIN, origin);
        reply = reply.header("Access-Control-Allow-Methods", methods.join(", "));
        reply = reply.header("Access-Control-Max-Age", seconds);
        if self.credentials {
            reply = reply.header(CREDENTIALS, "true");
        }
        if !self.headers.is_empty() {
            reply = reply.header("Access-Control-Allow-Headers", self.headers.join(", "));
        }
        reply
    }

    /// Replaces the CORS headers of a response.
    fn edit(&self, request: &Request, response: &mut Response) -> Result<(), EditError> {
        for name in [ORIGIN, CREDENTIALS, EXPOSE] {
            response.remove_header(name)?;
        }
        // Without an origin this is needed, too: a cache must not hand this response to a page.
        if self.origins != ["*"] {
            response.append_header("Vary", "Origin")?;
        }
        let Some(origin) = self.allow(request) else {
            return Ok(());
        };
        response.set_header(ORIGIN, origin)?;
        if self.credentials {
            response.set_header(CREDENTIALS, "true")?;
        }
        self.expose
            .iter()
            .try_for_each(|name| response.append_header(EXPOSE, &**name))
    }
}

impl RequestFilter for Cors {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        if !is_preflight(request) {
            return Verdict::Next;
        }
        let no = Reply::new(403).header("Vary", VARY);
        match self.allow(request) {
            Some(origin) => self.permit(origin).into(),
            None => no.body("Not from this origin.\n").into(),
        }
    }
}

impl ResponseFilter for Cors {
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
        // The answer to a preflight request was made above.
        if !is_preflight(request)
            && let Err(refused) = self.edit(request, response)
        {
            // Half of the headers could allow more than all of them.
            error!("a response cannot have the headers of CORS: {refused}");
            return Reply::new(500).into();
        }
        Verdict::Next
    }
}

pace_plugin::export!(Cors: RequestFilter, ResponseFilter);
