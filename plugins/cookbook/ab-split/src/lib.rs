//! Divides visitors into groups, and keeps each visitor in one by a cookie.
//!
//! | key | | default |
//! |---|---|---|
//! | `groups` | a table: the name of a group, and its share relative to the others, 0 to 65535 | required |
//! | `cookie` | the cookie that remembers it | `"ab_group"` |
//! | `header` | where the backend is told the group | `"X-Ab-Group"` |
//! | `max_age_days` | for how long it is remembered, 1 to 400 | 30 |
//! | `secure` | whether browsers send the cookie over TLS only | `true` |
//!
//! The shares hold over all workers, from the first visitors on. A visitor whose group no longer exists, or
//! has the share 0, gets a new one. `Vary: Cookie` tells caches that responses differ.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use pace_plugin::{Counter, HeaderName, Plugin, Request, RequestFilter, Response, ResponseFilter, Verdict};
use pace_plugin::{EditError, Integer, Reply, error, header};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    groups: BTreeMap<String, u16>,
    cookie: Option<String>,
    header: Option<HeaderName>,
    // Browsers forget a cookie after 400 days at most (RFC 6265bis, section 5.5).
    max_age_days: Option<Integer<1, 400>>,
    secure: Option<bool>,
}

struct AbSplit {
    /// The groups with a share.
    groups: Vec<(String, u64)>,
    cookie: String,
    header: HeaderName,
    attributes: String,
    visitors: Counter,
}

impl Plugin for AbSplit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if let Some(name) = config.groups.keys().find(|name| !header::is_token(name)) {
            return Err(format!(
                "groups.{name:?}: a name has letters, digits, `-` and `_`"
            ));
        }
        let shares = config
            .groups
            .into_iter()
            .map(|(name, share)| (name, u64::from(share)));
        let groups: Vec<_> = shares.filter(|(_, share)| *share > 0).collect();
        if groups.is_empty() {
            return Err("groups: at least one with a share above 0 is needed".into());
        }
        let cookie = config.cookie.unwrap_or_else(|| "ab_group".into());
        if !header::is_token(&cookie) {
            return Err(format!("cookie: `{cookie}` is no name of a cookie"));
        }
        let days = config.max_age_days.map_or(30, Integer::get);
        let secure = if config.secure.unwrap_or(true) {
            "; Secure"
        } else {
            ""
        };
        Ok(Self {
            groups,
            cookie,
            header: config
                .header
                .unwrap_or_else(|| HeaderName::from_static("X-Ab-Group")),
            attributes: format!(
                "; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
                days * 86_400
            ),
            visitors: Counter::open("visitors")?,
        })
    }
}

impl AbSplit {
    /// The group that a cookie remembers.
    fn remembered(&self, cookie: &[u8]) -> Option<&str> {
        let mut names = self.groups.iter().map(|(name, _)| name.as_str());
        names.find(|name| name.as_bytes() == cookie)
    }

    /// The group of a visitor, by the visitor's number.
    fn of_visitor(&self, number: u64) -> &str {
        // Multiples of the golden ratio spread evenly over any division, however early one stops counting
        // (Knuth, The Art of Computer Programming 3, section 6.4).
        let place = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let total: u64 = self.groups.iter().map(|(_, share)| share).sum();
        let mut rest = ((place * u128::from(total)) >> 64) as u64;
        let is_in = |(_, share): &&(String, u64)| {
            let found = rest < *share;
            rest = rest.saturating_sub(*share);
            found
        };
        self.groups.iter().find(is_in).map_or("", |(name, _)| name)
    }

    /// Has the browser remember the group that the other hook has given to the request.
    fn remember(&self, request: &Request, response: &mut Response) -> Result<(), EditError> {
        response.append_header("Vary", "Cookie")?;
        let group = request.header(&self.header).unwrap_or_default();
        if request.cookie(&self.cookie).as_ref() == Some(&group) {
            return Ok(());
        }
        let group = String::from_utf8_lossy(&group);
        response.append_header(
            "Set-Cookie",
            format!("{}={group}{}", self.cookie, self.attributes),
        )
    }
}

impl RequestFilter for AbSplit {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let cookie = request.cookie(&self.cookie);
        let known = cookie.and_then(|cookie| self.remembered(&cookie));
        let group = known.unwrap_or_else(|| self.of_visitor(self.visitors.add(1)));
        match request.set_header(&self.header, group) {
            Ok(()) => Verdict::Next,
            Err(refused) => {
                error!("{}: {refused}", self.header);
                Reply::new(500).into()
            }
        }
    }
}

impl ResponseFilter for AbSplit {
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
        if let Err(refused) = self.remember(request, response) {
            error!("the visitor's group is not remembered: {refused}");
        }
        Verdict::Next
    }
}

pace_plugin::export!(AbSplit: RequestFilter, ResponseFilter);
