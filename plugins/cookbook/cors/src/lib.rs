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
//! Preflight requests are answered here and reach no backend. What backends say about CORS themselves is
//! replaced. An origin is compared as a whole; `Origin: null` is nobody's in particular and never allowed.

#![forbid(unsafe_code)]

use pace_plugin::{
    EditError, Plugin, Reply, Request, RequestFilter, Response, ResponseFilter, Verdict, error,
};

mod policy;

use policy::{Config, Policy};

struct Cors(Policy);

impl Plugin for Cors {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Policy::new(&config).map(Self)
    }
}

/// A browser asks first: the method that it will use, if it may.
fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS"
        && request.header("origin").is_some()
        && request.header("access-control-request-method").is_some()
}

impl RequestFilter for Cors {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        if !is_preflight(request) {
            return Verdict::Next;
        }
        let origin = request.header("origin").unwrap_or_default();
        let Some(allowed) = self.0.allow(&origin) else {
            return Reply::new(403)
                .header("Vary", VARY)
                .body("Not from this origin.\n")
                .into();
        };
        let headers = allowed.into_iter().chain(self.0.permissions());
        headers
            .fold(Reply::new(204).header("Vary", VARY), |reply, (name, value)| {
                reply.header(name, value)
            })
            .into()
    }
}

/// What the answer to a preflight request depends on.
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

impl ResponseFilter for Cors {
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
        // Its answer was made above.
        if !is_preflight(request)
            && let Err(refused) = self.edit(request.header("origin"), response)
        {
            // Half of the headers could allow more than all of them.
            error!("a response cannot have the headers of CORS: {refused}");
            return Reply::new(500).into();
        }
        Verdict::Next
    }
}

impl Cors {
    fn edit(&self, origin: Option<Vec<u8>>, response: &mut Response) -> Result<(), EditError> {
        for name in policy::OF_RESPONSES {
            response.remove_header(name)?;
        }
        // Also without an origin: a cache must not hand this response to a page.
        if self.0.depends_on_origin() {
            response.append_header("Vary", "Origin")?;
        }
        let allowed = origin.and_then(|origin| self.0.allow(&origin));
        for (name, value) in allowed.into_iter().flatten().chain(self.0.exposed()) {
            response.set_header(name, value)?;
        }
        Ok(())
    }
}

pace_plugin::export!(Cors: RequestFilter, ResponseFilter);
