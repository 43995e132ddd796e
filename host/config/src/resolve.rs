//! Turns the written configuration into the one that is used: defaults, addresses, and the rules between
//! keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use pace_base::processors;
use pace_wire::known::Known;
use pace_wire::path::normalise_prefix;
use pace_wire::request::Rules;

use super::address::{AdminAddress, ListenAddress};
use super::document::Document;
use super::plugins::mebibytes;
use super::problem::{Fault, Problem};
use super::raw::{self, Millis};
use super::scalar::Int;
use super::shape::{Place, Placed, Table};
use super::types::listener::Listener;
use super::types::{Admin, ClientLimits, Config, ConnectionLimits, HeaderName, Metrics, Server};
use super::warning::Warning;
use super::written::Written;
use super::{Overrides, listeners, plugins, pools, routes, short, sinks};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// The permissions of the admin listener's socket: for its owner, as whoever connects can change what serves.
const DEFAULT_SOCKET_MODE: u32 = 0o600;
const DEFAULT_GRACE_PERIOD_SECONDS: u32 = 10;

/// The default of all state: that of eight plugins with their default limits.
const DEFAULT_STATE_MB: u32 = 512;
const DEFAULT_BODY_MB: u32 = 256;
const MAX_WORKERS: usize = 1024;
const DEFAULT_METRICS_ENDPOINT: &str = "/metrics";
const DEFAULT_VIA: &str = "pace";

/// The context of every step, and the problems found so far.
///
/// A step that finds a problem reports it and goes on, so that one run finds all of them. Its result is used
/// only if no problem was found.
pub(super) struct Resolver<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
    remarks: Vec<Warning>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(document: &'a Document<'a>) -> Self {
        Resolver {
            document,
            problems: Vec::new(),
            remarks: Vec::new(),
        }
    }

    pub(super) fn resolve(
        mut self,
        mut file: raw::File,
        overrides: &Overrides,
    ) -> Result<Config, Vec<Problem>> {
        let rules = rules(&file.server.value);
        let server = self.server(&file.server.value, rules);
        let metrics = file.metrics.as_ref().and_then(|table| self.metrics(table, rules));
        let has_default_rate_limit = file.rate_limit.is_none()
            && file.plugins.is_none()
            && file.pools.is_none()
            && file.routes.is_none();
        let access_log = file
            .access_log
            .as_ref()
            .and_then(|table| sinks::access_log(table, &mut self));
        let tracing = file
            .tracing
            .as_ref()
            .and_then(|table| sinks::tracing(table, &mut self));
        self.key_extractor(&file, rules);
        let full = short::expand(&mut file, overrides, &mut self);

        let plugins = plugins::resolve(&full.plugins, &mut self);
        let pools = pools::resolve(&full.pools, &mut self);
        let (routes, places) = routes::resolve(&full, &plugins, rules, &mut self);
        let listen = overrides.listen.as_deref();
        let listeners = listeners::resolve(&file, listen, DEFAULT_LISTEN.into(), &routes, &mut self);
        routes::check(&routes, &places, &listeners, &mut self);
        let acme = file
            .acme
            .as_ref()
            .map(|acme| listeners::acme(acme, &listeners, &mut self));
        let admin = file.admin.as_ref().map(|admin| self.admin(admin, &listeners));
        match self.problems.is_empty() {
            true => Ok(Config {
                written: Written::new(self.document, self.remarks),
                has_default_rate_limit,
                server,
                listeners,
                acme,
                admin,
                metrics,
                access_log,
                tracing,
                plugins,
                pools,
                routes,
            }),
            false => Err(self.problems),
        }
    }

    pub(super) fn report(&mut self, place: &Place, fault: Fault) {
        self.problems.push(self.document.problem(place, fault));
    }

    /// Adds a remark about what is written, and used all the same.
    pub(super) fn remark(&mut self, warning: Warning) {
        self.remarks.push(warning);
    }

    pub(super) fn document(&self) -> &'a Document<'a> {
        self.document
    }

    /// The path of a file named in the configuration.
    pub(super) fn file(&self, written: &str) -> PathBuf {
        self.document.directory().join(written)
    }

    fn server(&mut self, server: &raw::Server, rules: Rules) -> Server {
        let networks = server.trusted_proxies.iter().flatten();
        for network in networks.clone().filter(|network| network.has_host_bits()) {
            self.remark(Warning::HostBits(network.written));
        }
        let trusted_proxies: Vec<_> = networks.map(|network| network.network).collect();
        let proxy_protocol = server.proxy_protocol.as_ref().is_some_and(|wanted| wanted.value);
        if let (true, true, Some(wanted)) =
            (proxy_protocol, trusted_proxies.is_empty(), &server.proxy_protocol)
        {
            self.report(&wanted.place, Fault::TrustsNobody);
        }
        Server {
            workers: server
                .workers
                .map_or_else(default_workers, |workers| workers.value() as usize),
            shutdown_delay: Duration::from_millis(
                server.shutdown_delay_ms.map_or(0, |millis| millis.value()).into(),
            ),
            grace_period: Duration::from_secs(
                server
                    .grace_period_seconds
                    .map_or(DEFAULT_GRACE_PERIOD_SECONDS, |s| s.value())
                    .into(),
            ),
            trusted_proxies,
            proxy_protocol,
            rules,
            via: match &server.via {
                None => Some(DEFAULT_VIA.to_owned()),
                Some(name) => Some(name.0.clone()).filter(|name| !name.is_empty()),
            },
            request_id: self.request_id(server),
            client: client_limits(server),
            connections: connection_limits(server),
            cache_dir: server
                .cache_dir
                .as_deref()
                .filter(|path| !path.is_empty())
                .map(|path| self.file(path)),
            state: mebibytes(server.state_mb.map_or(DEFAULT_STATE_MB, |mib| mib.value())),
            bodies: mebibytes(server.body_mb.map_or(DEFAULT_BODY_MB, |mib| mib.value())),
        }
    }

    /// The field of a request's id. It must be one that means nothing else.
    fn request_id(&mut self, server: &raw::Server) -> Option<HeaderName> {
        let Placed { value, place } = server.request_id.as_ref()?;
        let name = value.0.clone()?;
        if Known::of(name.as_str().as_bytes()) != Known::Other {
            let fault = format!("{:?} has a meaning of its own", name.as_str());
            self.report(place, Fault::Refused(fault));
        }
        Some(name)
    }

    pub(super) fn listen_option(&mut self, text: &str) -> Option<ListenAddress> {
        let place = Place::Option("--listen");
        match ListenAddress::parse(text) {
            Ok(address) => Some(address),
            Err(reason) => {
                self.report(&place, Fault::Refused(reason));
                None
            }
        }
    }

    fn admin(&mut self, admin: &Table<raw::Admin>, listeners: &[Listener]) -> Admin {
        let said = &admin.value;
        let (listen, place) = match &said.listen {
            Some(Placed { value, place }) => (value.clone(), place.clone()),
            None => (
                AdminAddress::Tcp(DEFAULT_ADMIN_LISTEN.into()),
                admin.place.clone(),
            ),
        };
        if let AdminAddress::Tcp(listen) = &listen {
            let covers =
                |listener: &&Listener| listener.listen.covers(listen) || listen.covers(&listener.listen);
            if let Some(listener) = listeners.iter().find(covers) {
                self.report(&place, Fault::SameListener(listener.listen.clone()));
            }
        }
        if let (AdminAddress::Tcp(_), Some(mode)) = (&listen, &said.mode) {
            let fault = "permissions are those of a socket: write `listen = \"unix:/run/pace/admin.sock\"`";
            self.report(&mode.place, Fault::Refused(fault.to_owned()));
        }
        let identity = self.identity(said.cert.as_ref(), said.key.as_ref());
        if let (AdminAddress::Unix(_), Some(cert), Some(_)) = (&listen, &said.cert, &identity) {
            let fault = "nothing is encrypted on a Unix socket, which does not leave this machine";
            self.report(&cert.place, Fault::Refused(fault.to_owned()));
        }
        Admin {
            listen,
            mode: said
                .mode
                .as_ref()
                .map_or(DEFAULT_SOCKET_MODE, |mode| mode.value.0),
            identity,
            debug_header: said.debug_header.as_ref().and_then(|name| name.0.clone()),
            token: said.token.as_ref().and_then(|token| sinks::secret(token, self)),
        }
    }

    /// The files of a certificate and of its key, which belong together.
    pub(super) fn identity(
        &mut self,
        cert: Option<&Placed<String>>,
        key: Option<&Placed<String>>,
    ) -> Option<(PathBuf, PathBuf)> {
        match (cert, key) {
            (Some(cert), Some(key)) => Some((self.file(&cert.value), self.file(&key.value))),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let fault = "a certificate and its key belong together: write both `cert` and `key`";
                self.report(&one.place, Fault::Refused(fault.to_owned()));
                None
            }
        }
    }

    /// Refuses to count by a header that no request has: all clients would share one limit.
    fn key_extractor(&mut self, file: &raw::File, rules: Rules) {
        let table = file.rate_limit.as_ref();
        let Some(Placed { value: key, place }) = table.and_then(|table| table.value.key_extractor.as_ref())
        else {
            return;
        };
        let name = key.0.strip_prefix("header:").unwrap_or_default();
        if let Some(fault) = routes::never_there(name, rules) {
            self.report(place, Fault::Refused(fault));
        }
    }

    fn metrics(&mut self, metrics: &Table<raw::Metrics>, rules: Rules) -> Option<Metrics> {
        let endpoint = match &metrics.value.endpoint {
            Some(path) => self.path(&path.0, rules, &metrics.place)?,
            None => DEFAULT_METRICS_ENDPOINT.to_owned(),
        };
        metrics
            .value
            .enabled
            .unwrap_or(true)
            .then_some(Metrics { endpoint })
    }

    /// A path in the spelling of requests. `None` has been reported.
    pub(super) fn path(&mut self, written: &str, rules: Rules, place: &Place) -> Option<String> {
        match normalise_prefix(written, rules.encoded_slashes) {
            Ok(path) => Some(path),
            Err(reason) => {
                self.report(place, Fault::Refused(format!("{written:?}: {reason}")));
                None
            }
        }
    }
}

/// As many workers as there are processors for this process.
fn default_workers() -> usize {
    processors::available().min(MAX_WORKERS)
}

/// The rules for requests.
fn rules(server: &raw::Server) -> Rules {
    Rules {
        encoded_slashes: server.encoded_slashes.map(|choice| choice.0).unwrap_or_default(),
        underscores: server.underscores.map(|choice| choice.0).unwrap_or_default(),
        max_fields: server
            .max_fields
            .map_or(Rules::default().max_fields, |n| n.value() as usize),
    }
}

/// The limits of time and size for a client.
fn client_limits(server: &raw::Server) -> ClientLimits {
    let default = ClientLimits::default();
    let millis = |written: Option<Millis>, default| written.map_or(default, Int::millis);
    ClientLimits {
        head: millis(server.head_timeout_ms, default.head),
        body: millis(server.body_timeout_ms, default.body),
        body_rate: server
            .body_bytes_per_second
            .map_or(default.body_rate, |n| n.value()),
        send: millis(server.send_timeout_ms, default.send),
        keepalive: millis(server.keepalive_timeout_ms, default.keepalive),
        requests: server
            .keepalive_requests
            .map_or(default.requests, |n| NonZeroU32::new(n.value())),
        upgraded: millis(server.upgrade_timeout_ms, default.upgraded),
        head_bytes: server
            .max_head_kb
            .map_or(default.head_bytes, |kb| kb.value() as usize * 1024),
    }
}

/// The limits of connections.
fn connection_limits(server: &raw::Server) -> ConnectionLimits {
    ConnectionLimits {
        max: server.max_connections.and_then(|n| NonZeroU32::new(n.value())),
        max_per_client: server
            .max_connections_per_client
            .and_then(|n| NonZeroU32::new(n.value())),
        tcp_keepalive: match server.tcp_keepalive_seconds {
            None => ConnectionLimits::default().tcp_keepalive,
            Some(seconds) if seconds.value() == 0 => None,
            Some(seconds) => Some(Duration::from_secs(seconds.value().into())),
        },
    }
}

/// The first place of each text.
#[derive(Default)]
pub(super) struct FirstSeen<'p>(HashMap<String, &'p Place>);

impl<'p> FirstSeen<'p> {
    /// The earlier place of a text, if there is one.
    pub(super) fn earlier(&mut self, thing: String, place: &'p Place) -> Option<&'p Place> {
        match self.0.entry(thing) {
            Entry::Occupied(first) => Some(first.get()),
            Entry::Vacant(slot) => {
                slot.insert(place);
                None
            }
        }
    }
}
