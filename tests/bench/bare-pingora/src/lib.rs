//! The proxy of `bare-pingora` and `bare-pingora-system-malloc`.
//!
//! It has one thread, enough connections to backends for one request at a time to each, and otherwise
//! Pingora's defaults. Arguments: the address to listen on, then the backends' addresses.

use async_trait::async_trait;
use pingora::Result;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

struct RoundRobin {
    backends: Vec<SocketAddr>,
    next: AtomicUsize,
}

#[async_trait]
impl ProxyHttp for RoundRobin {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let backend = self.backends[turn % self.backends.len()];
        Ok(Box::new(HttpPeer::new(backend, false, String::new())))
    }
}

/// Serves until the process is ended.
pub fn run() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next();
    let backends = arguments
        .map(|address| address.parse())
        .collect::<std::result::Result<Vec<_>, _>>();
    let (Some(listen), Ok(backends @ [_, ..])) = (listen, backends.as_deref()) else {
        eprintln!("usage: PROGRAM LISTEN BACKEND... (addresses with ports)");
        return ExitCode::FAILURE;
    };

    let defaults = ServerConf::default();
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: defaults.upstream_keepalive_pool_size.max(2 * backends.len()),
        ..defaults
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let proxy = RoundRobin {
        backends: backends.to_vec(),
        next: AtomicUsize::new(0),
    };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
