//! The facts about a request that its head does not tell.

use std::net::IpAddr;

use crate::{ClientCertificate, RequestState};

/// The facts about a request that its head does not tell. No hook changes them, except what is in `state`.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The address of the client: the peer, or the one that a trusted peer names.
    pub client: IpAddr,
    /// The address at the other end of the connection, or the one that its PROXY header names.
    pub peer: IpAddr,
    /// Whether the peer is one of the operator's `trusted_proxies`.
    pub peer_is_trusted: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The certificate that was verified when the client's connection was made.
    pub certificate: Option<&'a ClientCertificate>,
    /// The name of the route.
    pub route: &'a str,
    /// The pools of the route; `None` if it has none because it answers by itself.
    pub pools: Option<&'a dyn Pools>,
    /// The index of the pool that the route has chosen for the request, once it has chosen.
    pub pool: Option<usize>,
    /// The bytes of the request's body as its client has announced them; `None` if only its end will tell.
    pub request_size: Option<u64>,
    /// The bytes of the response's body as its backend has announced them; `None` if only its end will tell, and before there is a
    /// response.
    pub response_size: Option<u64>,
    /// The place of the plugin in the route's list, counted from 0.
    pub step: u32,
    /// The values that the hooks of the request leave for each other and for Pace.
    pub state: &'a RequestState,
}

/// The pools among which the requests of a route can go.
pub trait Pools: Send + Sync {
    /// The index of the pool of this name.
    fn index_of(&self, name: &str) -> Option<usize>;
    /// The name of the pool with this index.
    fn name(&self, index: usize) -> &str;
}

impl RequestFacts<'_> {
    /// The name of the pool that the request goes to: the one that a plugin has named, or else the route's choice.
    pub fn pool_name(&self) -> Option<&str> {
        let index = self.state.pool().or(self.pool)?;
        Some(self.pools?.name(index))
    }
}
