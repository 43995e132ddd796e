//! Lets in who has a valid JSON Web Token (RFC 7519) as a bearer token (RFC 6750).
//!
//! | key | | default |
//! |---|---|---|
//! | `algorithm` | `"HS256"`, `"RS256"` or `"ES256"`; a token that names another one is refused | required |
//! | `secret` | for HS256: at least 32 bytes | |
//! | `public_key` | for RS256 (2048 to 4096 bits) and ES256: the key in PEM, `BEGIN PUBLIC KEY` | |
//! | `issuer` | what `iss` must be | anything |
//! | `audience` | what `aud` must be or contain; without it, a token that has an `aud` is refused | none |
//! | `leeway_seconds` | how far the clocks may be apart, 0 to 300 | 60 |
//! | `forward` | a table: a claim, and the header in which the backend is told it | none |
//!
//! A token must have `exp`. The backend sees the token too, and the headers of `forward` only from here: what
//! a client has sent in them is dropped.

#![forbid(unsafe_code)]

mod token;

use std::collections::BTreeMap;
use std::time::SystemTime;

use pace_plugin::{HeaderName, Plugin, Reply, Request, RequestFilter, Verdict, clock, error};
use serde::Deserialize;
use serde_json::Value;

use token::{Checks, Key};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    algorithm: Algorithm,
    secret: Option<String>,
    public_key: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway_seconds: Option<u16>,
    #[serde(default)]
    forward: BTreeMap<String, HeaderName>,
}

#[derive(Clone, Copy, Deserialize)]
enum Algorithm {
    HS256,
    RS256,
    ES256,
}

struct Jwt {
    checks: Checks,
    forward: BTreeMap<String, HeaderName>,
}

impl Plugin for Jwt {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let key = match (config.algorithm, config.secret, config.public_key) {
            (Algorithm::HS256, Some(secret), None) => Key::hs256(secret.as_bytes()),
            (Algorithm::RS256, None, Some(pem)) => Key::rs256(&pem),
            (Algorithm::ES256, None, Some(pem)) => Key::es256(&pem),
            (Algorithm::HS256, ..) => Err("secret: HS256 needs it, and no public_key".into()),
            _ => Err("public_key: RS256 and ES256 need it, and no secret".into()),
        }?;
        let leeway = config.leeway_seconds.unwrap_or(60);
        if leeway > 300 {
            return Err(format!("leeway_seconds: expected 0 to 300, found {leeway}"));
        }
        let checks = Checks {
            key,
            issuer: config.issuer,
            audience: config.audience,
            leeway: leeway.into(),
        };
        Ok(Self {
            checks,
            forward: config.forward,
        })
    }
}

impl RequestFilter for Jwt {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let claims = match request.header_values("authorization").as_slice() {
            [] => return refusal(401, None),
            [value] => bearer(value).map(|token| {
                let now = clock::wall()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                self.checks.claims(token, now.as_secs())
            }),
            _ => {
                return refusal(
                    400,
                    Some(("invalid_request", "more than one Authorization header")),
                );
            }
        };
        match claims {
            None => refusal(401, None),
            Some(Err(why)) => refusal(401, Some(("invalid_token", why))),
            Some(Ok(claims)) => {
                for (claim, header) in &self.forward {
                    let value = claims.get(claim).and_then(text);
                    let edited = match value {
                        Some(value) => request.set_header(header.as_str(), value),
                        None => request.remove_header(header.as_str()).map(drop),
                    };
                    if let Err(refused) = edited {
                        error!("forward.{claim}: {refused}");
                        return refusal(401, Some(("invalid_token", "a claim cannot be sent in a header")));
                    }
                }
                Verdict::Next
            }
        }
    }
}

/// The token of an `Authorization` header, if it is of this scheme.
fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    let token = scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then_some(token.trim_ascii())?;
    str::from_utf8(token).ok()
}

/// A claim in a header: a list or a table has no form there.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(claim.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// RFC 6750, section 3.1: who has sent no token at all is not told of an error.
fn refusal(status: u16, error: Option<(&str, &str)>) -> Verdict {
    let challenge = match error {
        Some((code, why)) => format!("Bearer error=\"{code}\", error_description=\"{why}\""),
        None => "Bearer".into(),
    };
    Reply::new(status)
        .header("WWW-Authenticate", challenge)
        .body("This needs a valid token.\n")
        .into()
}

pace_plugin::export!(Jwt: RequestFilter);

#[cfg(test)]
mod tests;
