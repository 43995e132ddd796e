//! Has browsers apply protections, and hides the backends' software.
//!
//! | key | header | default |
//! |---|---|---|
//! | `csp` | `Content-Security-Policy` | none: it depends on the site |
//! | `permissions` | `Permissions-Policy` | none |
//! | `frames` | `X-Frame-Options`: `"DENY"` or `"SAMEORIGIN"` | `"DENY"` |
//! | `referrer` | `Referrer-Policy` | `"strict-origin-when-cross-origin"` |
//! | `opener` | `Cross-Origin-Opener-Policy` | `"same-origin"` |
//! | `hsts` | `Strict-Transport-Security`: `{ max_age_days, include_subdomains, preload, behind_tls }` | none |
//! | `remove` | these headers of backends go | `["Server", "X-Powered-By"]` |
//!
//! `""` leaves a header out. A backend's own headers stay, because it knows its pages better; only
//! `X-Content-Type-Options: nosniff` is always set. `Strict-Transport-Security` is for TLS only (RFC 6797,
//! section 7.2): write `behind_tls = true` if a proxy in front of this one speaks it.

#![forbid(unsafe_code)]

use pace_plugin::{
    EditError, HeaderName, HeaderValue, Plugin, Request, Response, ResponseFilter, Verdict, warn,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    csp: Option<HeaderValue>,
    permissions: Option<HeaderValue>,
    frames: Option<Frames>,
    referrer: Option<HeaderValue>,
    opener: Option<HeaderValue>,
    hsts: Option<Hsts>,
    remove: Option<Vec<HeaderName>>,
}

#[derive(Clone, Copy, Deserialize)]
enum Frames {
    #[serde(rename = "DENY")]
    Deny,
    #[serde(rename = "SAMEORIGIN")]
    SameOrigin,
    #[serde(rename = "")]
    Unset,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hsts {
    max_age_days: u32,
    #[serde(default)]
    include_subdomains: bool,
    #[serde(default)]
    preload: bool,
    #[serde(default)]
    behind_tls: bool,
}

impl Hsts {
    fn value(&self) -> Result<String, String> {
        // These are the conditions of the list that browsers ship: hstspreload.org.
        if self.preload && !(self.include_subdomains && self.max_age_days >= 365) {
            return Err("hsts.preload: needs include_subdomains and max_age_days of at least 365".into());
        }
        let subdomains = if self.include_subdomains {
            "; includeSubDomains"
        } else {
            ""
        };
        let preload = if self.preload { "; preload" } else { "" };
        Ok(format!(
            "max-age={}{subdomains}{preload}",
            u64::from(self.max_age_days) * 86_400
        ))
    }
}

struct SecurityHeaders {
    /// Headers that are set unless the backend has them.
    set: Vec<(&'static str, String)>,
    /// The value, and whether it is for requests without TLS, too.
    hsts: Option<(String, bool)>,
    remove: Vec<String>,
}

impl Plugin for SecurityHeaders {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let or = |value: Option<HeaderValue>, default: &str| {
            value.map_or(default.into(), |value| value.to_string())
        };
        let frames = match config.frames.unwrap_or(Frames::Deny) {
            Frames::Deny => "DENY",
            Frames::SameOrigin => "SAMEORIGIN",
            Frames::Unset => "",
        };
        let set = [
            ("Content-Security-Policy", or(config.csp, "")),
            ("Permissions-Policy", or(config.permissions, "")),
            ("X-Frame-Options", frames.into()),
            (
                "Referrer-Policy",
                or(config.referrer, "strict-origin-when-cross-origin"),
            ),
            ("Cross-Origin-Opener-Policy", or(config.opener, "same-origin")),
        ];
        let hsts = config
            .hsts
            .map(|hsts| Ok::<_, String>((hsts.value()?, hsts.behind_tls)));
        let remove = config
            .remove
            .map(|names| names.iter().map(HeaderName::to_string).collect());
        Ok(Self {
            set: set.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            hsts: hsts.transpose()?,
            remove: remove.unwrap_or_else(|| vec!["Server".into(), "X-Powered-By".into()]),
        })
    }
}

impl SecurityHeaders {
    fn edit(&self, is_tls: bool, response: &mut Response) -> Result<(), EditError> {
        for name in &self.remove {
            response.remove_header(name)?;
        }
        response.set_header("X-Content-Type-Options", "nosniff")?;
        let hsts = self.hsts.iter().filter(|(_, behind_tls)| is_tls || *behind_tls);
        let hsts = hsts.map(|(value, _)| ("Strict-Transport-Security", value));
        for (name, value) in self.set.iter().map(|(name, value)| (*name, value)).chain(hsts) {
            if response.header(name).is_none() {
                response.set_header(name, value)?;
            }
        }
        Ok(())
    }
}

impl ResponseFilter for SecurityHeaders {
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
        if let Err(refused) = self.edit(request.scheme() == "https", response) {
            warn!("a response goes without some headers: {refused}");
        }
        Verdict::Next
    }
}

pace_plugin::export!(SecurityHeaders: ResponseFilter);
