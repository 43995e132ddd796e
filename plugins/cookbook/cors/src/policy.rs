//! Which headers say what is allowed.

use pace_plugin::header::is_token;
use serde::Deserialize;

/// The configuration. The crate's documentation has the meaning of each key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    origins: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    expose: Vec<String>,
    #[serde(default)]
    credentials: bool,
    max_age_seconds: Option<u32>,
}

type Header = (&'static str, String);

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";

/// What a response that is no answer to a preflight request can say.
pub(crate) const OF_RESPONSES: [&str; 3] = [ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS];

pub(crate) struct Policy {
    /// `None`: all.
    origins: Option<Vec<String>>,
    credentials: bool,
    permissions: Vec<Header>,
    exposed: Option<Header>,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let origins = match config.origins.as_slice() {
            [] => return Err("origins: at least one is needed".into()),
            // The Fetch standard lets no page read such an answer, so whoever writes it means something else.
            [all] if all == "*" && config.credentials => {
                return Err("credentials: not for all origins: name those of `origins`".into());
            }
            [all] if all == "*" => None,
            some => Some(some.to_vec()),
        };
        for (at, origin) in origins.iter().flatten().enumerate() {
            if !is_origin(origin) {
                return Err(format!(
                    "origins[{at}]: `{origin}` is not what a browser sends: `https://host` or `https://host:port`, \
                     in lower case, without a path"
                ));
            }
        }
        for (key, names) in [
            ("methods", &config.methods),
            ("headers", &config.headers),
            ("expose", &config.expose),
        ] {
            // With credentials a star is the name of a header that nobody has; without, say what is meant.
            if let Some(at) = names.iter().position(|name| !is_token(name) || name == "*") {
                return Err(format!("{key}[{at}]: `{}` is no name", names[at]));
            }
        }
        let seconds = config.max_age_seconds.unwrap_or(600);
        if seconds > 86_400 {
            return Err(format!("max_age_seconds: expected 0 to 86400, found {seconds}"));
        }
        let methods = ["GET", "HEAD", "POST"]
            .map(String::from)
            .into_iter()
            .chain(config.methods.iter().cloned());
        let list = |name, list: &[String]| (!list.is_empty()).then(|| (name, list.join(", ")));
        let permissions = [
            Some((
                "Access-Control-Allow-Methods",
                methods.collect::<Vec<_>>().join(", "),
            )),
            list("Access-Control-Allow-Headers", &config.headers),
            Some(("Access-Control-Max-Age", seconds.to_string())),
        ];
        Ok(Self {
            origins,
            credentials: config.credentials,
            permissions: permissions.into_iter().flatten().collect(),
            exposed: list(EXPOSE_HEADERS, &config.expose),
        })
    }

    /// What says that this origin may read the response; `None` if it may not.
    pub(crate) fn allow(&self, origin: &[u8]) -> Option<Vec<Header>> {
        let allowed = match &self.origins {
            None => "*",
            Some(known) => known.iter().find(|known| known.as_bytes() == origin)?,
        };
        let credentials = self.credentials.then(|| (ALLOW_CREDENTIALS, "true".into()));
        Some(
            [(ALLOW_ORIGIN, allowed.into())]
                .into_iter()
                .chain(credentials)
                .collect(),
        )
    }

    /// Whether another origin would get another response.
    pub(crate) fn depends_on_origin(&self) -> bool {
        self.origins.is_some()
    }

    /// What the answer to a preflight request says besides.
    pub(crate) fn permissions(&self) -> Vec<Header> {
        self.permissions.clone()
    }

    /// What other responses say besides.
    pub(crate) fn exposed(&self) -> Option<Header> {
        self.exposed.clone()
    }
}

/// Whether a browser could send this: scheme, host, and a port that is not the scheme's own (RFC 6454,
/// section 6.1).
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_own_port = matches!(
        (scheme, rest.rsplit_once(':')),
        ("https", Some((_, "443"))) | ("http", Some((_, "80")))
    );
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    is_token(scheme) && !rest.is_empty() && rest.bytes().all(allowed) && !is_own_port
}

#[cfg(test)]
mod tests;
