//! Admits or refuses clients by their network.
//!
//! | key | | default |
//! |---|---|---|
//! | `allow` | who may come in: a list of networks and addresses | everybody |
//! | `deny` | who may not, even if `allow` names them | nobody |
//!
//! The client is the one that Pace assumes: behind another proxy that needs `[server] trusted_proxies`, or
//! all clients have the address of that proxy.

#![forbid(unsafe_code)]

use std::net::IpAddr;

use pace_plugin::{Network, Plugin, Reply, Request, RequestFilter, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IpList {
    allow: Option<Vec<Network>>,
    #[serde(default)]
    deny: Vec<Network>,
}

impl IpList {
    fn admits(&self, address: IpAddr) -> bool {
        let has = |list: &[Network]| list.iter().any(|network| network.contains(address));
        self.allow.as_deref().is_none_or(has) && !has(&self.deny)
    }
}

impl Plugin for IpList {
    type Config = IpList;

    fn configure(config: IpList) -> Result<Self, String> {
        match (config.allow.as_deref(), config.deny.as_slice()) {
            (Some([]), _) => Err("allow: nobody is let in: leave it out to let in everybody".into()),
            (None, []) => Err("allow, deny: at least one of them is needed".into()),
            _ => Ok(config),
        }
    }
}

impl RequestFilter for IpList {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        match self.admits(request.client_address()) {
            true => Verdict::Next,
            false => Reply::new(403).body("Not from this address.\n").into(),
        }
    }
}

pace_plugin::export!(IpList: RequestFilter);
