//! Divides visitors into groups, and keeps everybody in theirs by a cookie.
//!
//! | key | | default |
//! |---|---|---|
//! | `groups` | a table: the name of a group, and its share relative to the others, 0 to 65535 | required |
//! | `cookie` | the cookie that remembers it | `"ab_group"` |
//! | `header` | where the backend is told the group | `"X-Ab-Group"` |
//! | `max_age_days` | for how long it is remembered, 1 to 400 | 30 |
//! | `secure` | whether browsers send the cookie over TLS only | `true` |
//!
//! The shares are kept over all workers, from the first visitors on. Whose group is gone, or has the share 0
//! by now, gets a new one. `Vary: Cookie` tells caches that answers differ.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use pace_plugin::{Counter, HeaderName, Plugin, Request, RequestFilter, Response, ResponseFilter, Verdict};
use pace_plugin::{Reply, error, header};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    groups: BTreeMap<String, u16>,
    cookie: Option<String>,
    header: Option<HeaderName>,
    max_age_days: Option<u32>,
    secure: Option<bool>,
}

/// The groups with their shares.
#[derive(Debug)]
struct Groups(Vec<(String, u64)>);

impl Groups {
    fn new(groups: BTreeMap<String, u16>) -> Result<Self, String> {
        if let Some(name) = groups.keys().find(|name| !header::is_token(name)) {
            return Err(format!(
                "groups.{name:?}: a name has letters, digits, `-` and `_`"
            ));
        }
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(name, share)| (name, u64::from(share)))
            .collect();
        match groups.iter().any(|(_, share)| *share > 0) {
            true => Ok(Self(groups)),
            false => Err("groups: at least one with a share above 0 is needed".into()),
        }
    }

    /// The group that a cookie remembers.
    fn remembered(&self, cookie: Option<&[u8]>) -> Option<&str> {
        let is = |(name, share): &&(String, u64)| cookie == Some(name.as_bytes()) && *share > 0;
        self.0.iter().find(is).map(|(name, _)| name.as_str())
    }

    /// The group of a visitor who is the so many-th.
    fn of_visitor(&self, number: u64) -> &str {
        // Multiples of the golden ratio fall evenly into any division, however early one stops counting
        // (Knuth, The Art of Computer Programming 3, section 6.4).
        let place = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let total: u64 = self.0.iter().map(|(_, share)| share).sum();
        let mut rest = ((place * u128::from(total)) >> 64) as u64;
        let is_in = |(_, share): &&(String, u64)| {
            let found = rest < *share;
            rest = rest.saturating_sub(*share);
            found
        };
        self.0.iter().find(is_in).map_or("", |(name, _)| name)
    }
}

struct AbSplit {
    groups: Groups,
    cookie: String,
    header: String,
    attributes: String,
    visitors: Counter,
}

impl Plugin for AbSplit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let days = config.max_age_days.unwrap_or(30);
        // Browsers forget after 400 days, whatever they are told (RFC 6265bis, section 5.5).
        if !(1..=400).contains(&days) {
            return Err(format!("max_age_days: expected 1 to 400, found {days}"));
        }
        let cookie = config.cookie.unwrap_or_else(|| "ab_group".into());
        if !header::is_token(&cookie) {
            return Err(format!("cookie: `{cookie}` is no name of a cookie"));
        }
        let secure = if config.secure.unwrap_or(true) {
            "; Secure"
        } else {
            ""
        };
        Ok(Self {
            groups: Groups::new(config.groups)?,
            cookie,
            header: config.header.map_or("X-Ab-Group".into(), |name| name.to_string()),
            attributes: format!(
                "; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
                u64::from(days) * 86_400
            ),
            visitors: Counter::open("visitors")?,
        })
    }
}

impl RequestFilter for AbSplit {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let cookie = request.cookie(&self.cookie);
        let known = self.groups.remembered(cookie.as_deref());
        let group = known.unwrap_or_else(|| self.groups.of_visitor(self.visitors.add(1)));
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
        // The request still has the group that the other hook has given it.
        let group = request.header(&self.header).unwrap_or_default();
        let mut edited = response.append_header("Vary", "Cookie");
        if request.cookie(&self.cookie).as_ref() != Some(&group) {
            let cookie = format!(
                "{}={}{}",
                self.cookie,
                String::from_utf8_lossy(&group),
                self.attributes
            );
            edited = edited.and(response.append_header("Set-Cookie", cookie));
        }
        if let Err(refused) = edited {
            error!("the visitor's group is not remembered: {refused}");
        }
        Verdict::Next
    }
}

pace_plugin::export!(AbSplit: RequestFilter, ResponseFilter);

#[cfg(test)]
mod tests;
