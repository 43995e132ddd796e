//! Lets in or keeps out networks.
//!
//! | key | | default |
//! |---|---|---|
//! | `allow` | who may come in: a list of networks and addresses | everybody |
//! | `deny` | who may not, even if `allow` names them | nobody |
//!
//! The client is whom Pace takes for it: behind another proxy that needs `[server] trusted_proxies`, or all
//! clients have the address of that proxy.

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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> Result<IpList, String> {
        pace_plugin::parse_config(json).and_then(IpList::configure)
    }

    fn admits(list: &IpList, address: &str) -> bool {
        list.admits(address.parse().expect("a test names an address"))
    }

    #[test]
    fn only_those_of_allow_come_in() {
        let list = list(r#"{"allow": ["10.0.0.0/8", "2001:db8::7"]}"#).expect("it is right");
        assert!(
            admits(&list, "10.1.2.3") && admits(&list, "::ffff:10.1.2.3") && admits(&list, "2001:db8::7")
        );
        assert!(!admits(&list, "11.0.0.1") && !admits(&list, "2001:db8::8"));
    }

    #[test]
    fn deny_wins() {
        let list = list(r#"{"allow": ["10.0.0.0/8"], "deny": ["10.6.6.0/24"]}"#).expect("it is right");
        assert!(admits(&list, "10.6.7.1") && !admits(&list, "10.6.6.1"));
    }

    #[test]
    fn without_allow_all_others_come_in() {
        let list = list(r#"{"deny": ["192.0.2.7"]}"#).expect("it is right");
        assert!(admits(&list, "192.0.2.8") && admits(&list, "::1") && !admits(&list, "192.0.2.7"));
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |json| list(json).err().unwrap_or_default();
        assert!(refusal("{}").starts_with("allow, deny: at least one"));
        assert!(refusal(r#"{"allow": []}"#).starts_with("allow: nobody is let in"));
        assert!(
            refusal(r#"{"deny": ["10.0.0.0/8", "10.0/8"]}"#).starts_with("deny[1]: `10.0/8` is no network")
        );
        assert!(refusal(r#"{"denny": []}"#).contains("unknown field `denny`"));
    }
}
