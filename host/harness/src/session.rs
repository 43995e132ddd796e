//! Runs one configured plugin in isolation.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use parking_lot::Mutex;
use prometheus::IntGauge;

use super::lines::{Line, Lines};
use super::message::{Request, Response};
use super::metrics;
use super::pool::Pool;
use super::route::Neighbors;
use super::subject::{Setup, Subject};
use pace_config::Source;
use pace_config::telemetry::Secret;
use pace_content::body::Content;
use pace_content::frames::{EventFields, Step};
use pace_hook::{
    Ending, Failure, FailureReason, Heads, Hooks, Opening, Outcome, Plugin, Pools, RequestAccess,
    RequestFacts, RequestScope, RequestState, ResponseHead, Selection, Verdict,
};
use pace_sandbox::{Generation, Usage, WasmPlugin, state_limits};
use pace_state::{Entropy, Key, ManualTime, Now, Prefixes, Scope, Store, Time, WindowSpec};

/// A configured plugin with state, a log and a time of its own.
///
/// Calls run on the caller's thread, on one instance, as in a worker of Pace. After a failure the instance is
/// replaced; the breaker for plugins that keep failing is off.
pub struct Session {
    plugin: WasmPlugin,
    store: Arc<Store>,
    scope: Arc<Scope>,
    time: Arc<ManualTime>,
    lines: Arc<Lines>,
    state: Mutex<Arc<RequestState>>,
    pub(super) neighbors: Neighbors,
    /// The place in the route's list, counted from 0.
    pub(super) place: u32,
}

/// The key of events in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowKey {
    /// A client.
    Address(IpAddr),
    /// All clients of a network.
    Network(IpNet),
    /// Any client that is counted by these bytes.
    Bytes(Vec<u8>),
}

/// The seed of random numbers, so that they are the same in every run.
const SEED: u64 = 1;

/// The longest time of a value in a table, in milliseconds.
const A_MONTH: u64 = 30 * 24 * 3600 * 1000;

impl WindowKey {
    fn as_key(&self) -> Key<'_> {
        match self {
            WindowKey::Address(address) => Key::Address(*address),
            WindowKey::Network(network) => {
                let prefixes = Prefixes {
                    ipv4: network.prefix_len(),
                    ipv6: network.prefix_len(),
                };
                Key::Network(network.addr(), prefixes)
            }
            WindowKey::Bytes(bytes) => Key::Bytes(bytes),
        }
    }
}

impl Session {
    pub(super) fn new(subject: &Subject, setup: &Setup) -> Result<Session, Failure> {
        let refused = |detail: String| Failure {
            reason: FailureReason::Configure,
            detail,
        };
        // Frees the instances of sessions that have ended.
        subject.runtime.sweep();
        let entry = entry(setup);
        let program = subject
            .program(setup.isolation, &entry.limits)
            .map_err(|error| refused(error.to_string()))?;
        let lines = Lines::new(setup.log_level);
        let sink: Arc<dyn pace_sandbox::LogSink> = Arc::clone(&lines) as _;
        let breaker = IntGauge::new("breaker", "1 while it is open").expect("the name is legal");
        let generation = Generation::new(&entry, 1, subject.sha256, program, breaker, Arc::new(|_, _| {}))
            .with_log_sink(sink);
        let time = ManualTime::at(setup.wall);
        let store = Store::with(usize::MAX, Time::Manual(Arc::clone(&time)), Entropy::seeded(SEED));
        let scope = store.scope(&entry.name, &entry.name, state_limits(&entry.limits));
        for (name, value) in &setup.counters {
            let counter = scope
                .counter(name)
                .map_err(|error| refused(format!("the counter {name:?} cannot be set: {error}")))?;
            counter.swap(*value);
        }
        for (name, values) in &setup.tables {
            let refused =
                |error: String| refused(format!("the table {name:?} cannot have what it should: {error}"));
            let table = scope.table(name).map_err(|error| refused(error.to_string()))?;
            for (key, value) in values {
                let put = table.set(key.as_bytes(), value, A_MONTH, scope.now());
                put.map_err(|error| refused(format!("{key:?}: {error}")))?;
            }
        }
        let config = serde_json::to_string(&setup.config).expect("a map of JSON values is JSON");
        let plugin = WasmPlugin::new(&subject.runtime, Arc::new(generation), config, Arc::clone(&scope))?;
        Ok(Session {
            plugin,
            store,
            scope,
            time,
            lines,
            state: Mutex::default(),
            neighbors: Neighbors::default(),
            place: 0,
        })
    }

    /// The hooks that the plugin exports.
    pub fn hooks(&self) -> Hooks {
        self.plugin.hooks()
    }

    /// Runs `request-filter`, which may change the request.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn request_filter(&self, request: &mut Request) -> Result<Verdict, Failure> {
        self.begin();
        self.filter_request(request)
    }

    /// Runs `request-filter` in the present request.
    pub(super) fn filter_request(&self, request: &mut Request) -> Result<Verdict, Failure> {
        self.editing(request, |request| self.plugin.request_filter(request))
    }

    /// Lends a request whose head can be edited.
    pub(super) fn editing<T>(&self, request: &mut Request, call: impl FnOnce(RequestScope<'_>) -> T) -> T {
        // The plugin looks at these while it edits the head.
        let certificate = request.certificate.take();
        let route = mem::take(&mut request.route);
        let pools = mem::take(&mut request.pools);
        let (state, named) = (self.state(), Named(&pools));
        let facts = RequestFacts {
            client: request.client,
            peer: request.trusted_peer.unwrap_or(request.client),
            peer_is_trusted: request.trusted_peer.is_some(),
            scheme: request.scheme(),
            certificate: certificate.as_ref(),
            route: &route,
            pools: (!pools.is_empty()).then_some(&named as &dyn Pools),
            pool: (pools.len() == 1).then_some(0),
            request_size: Some(request.body.len() as u64),
            response_size: None,
            step: self.place,
            state: &state,
        };
        let result = call(RequestScope {
            head: RequestAccess::Edit(request),
            facts: &facts,
        });
        (request.certificate, request.route, request.pools) = (certificate, route, pools);
        result
    }

    /// Runs `request-stream-filter.open`. `None`: the plugin does not filter this message.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn open_request_stream(&self, request: &Request) -> Result<Option<Opening>, Failure> {
        self.heads(request, None, |heads| self.plugin.open_request_stream(heads))
    }

    /// Runs `response-stream-filter.open`. `None`: the plugin does not filter this message.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn open_response_stream(
        &self,
        request: &Request,
        response: &Response,
        backend: Option<&str>,
    ) -> Result<Option<Opening>, Failure> {
        let response = Some((response, backend));
        self.heads(request, response, |heads| self.plugin.open_response_stream(heads))
    }

    /// Runs `next` of a message that was opened, for one unit.
    ///
    /// # Errors
    ///
    /// The hook failed.
    pub fn next_unit(
        &self,
        opening: &mut Opening,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<Step, Failure> {
        self.heads(request, response, |heads| {
            opening.message.next(heads, content, event)
        })
    }

    /// Runs `end` of a message that was opened.
    ///
    /// # Errors
    ///
    /// The hook failed.
    pub fn end_stream(
        &self,
        opening: Opening,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        how: Ending,
        last: &mut Content,
    ) -> Result<(), Failure> {
        self.heads(request, response, |heads| opening.message.end(heads, how, last))
    }

    /// Runs `select-upstream` for an attempt, 1 for the first.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn select_upstream(
        &self,
        request: &Request,
        pool: &Pool,
        attempt: u32,
    ) -> Result<Selection, Failure> {
        self.reading(request, None, |request| {
            self.plugin.select_upstream(request, pool, attempt)
        })
    }

    /// Runs `response-filter`, which may change the response. `backend` is the one that answered; `None` for
    /// a response that a plugin made.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn response_filter(
        &self,
        request: &Request,
        response: &mut Response,
        backend: Option<&str>,
    ) -> Result<Verdict, Failure> {
        let size = response.body.as_ref().map_or(0, Bytes::len) as u64;
        self.reading(request, Some(size), |request| {
            self.plugin.response_filter(request, response, backend)
        })
    }

    /// Runs `finished`. `response` is the head that the client was sent, if it was sent one, and the backend
    /// that it is from.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn finished(
        &self,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        outcome: &Outcome<'_>,
    ) -> Result<(), Failure> {
        let response = response.map(|(head, backend)| (head as &dyn ResponseHead, backend));
        self.reading(request, None, |request| {
            self.plugin.finished(request, response, outcome)
        })
    }

    /// Begins a request: the values that plugins kept for the one before are gone.
    pub fn begin(&self) {
        let state = Arc::default();
        for plugin in self.route() {
            *plugin.state.lock() = Arc::clone(&state);
        }
    }

    /// The name of the pool that the present request goes to; `None` if its route has several, and no plugin has named one.
    pub fn pool(&self, request: &Request) -> Option<String> {
        let named = self.state().pool();
        let only = (request.pools.len() == 1).then_some(0);
        request.pools.get(named.or(only)?).cloned()
    }

    /// A value that the plugin has set for later hooks of the present request.
    pub fn context(&self, name: &str) -> Option<Vec<u8>> {
        self.state().get(self.plugin.name(), name)
    }

    /// A field that the plugin has added to the line of the present request.
    pub fn annotation(&self, key: &str) -> Option<String> {
        let state = self.state();
        let mut all = state.annotations().into_iter();
        all.find(|annotation| &*annotation.plugin == self.name() && annotation.key == key)
            .map(|annotation| annotation.value)
    }

    /// The values that belong to the present request.
    pub fn state(&self) -> Arc<RequestState> {
        Arc::clone(&self.state.lock())
    }

    fn heads<T>(
        &self,
        request: &Request,
        response: Option<(&Response, Option<&str>)>,
        call: impl FnOnce(Heads<'_>) -> T,
    ) -> T {
        let response = response.map(|(head, backend)| (head as &dyn ResponseHead, backend));
        call(Heads {
            request,
            facts: &self.facts(request, &Named(&request.pools), &self.state()),
            response,
        })
    }

    pub(super) fn reading<T>(
        &self,
        request: &Request,
        response_size: Option<u64>,
        call: impl FnOnce(RequestScope<'_>) -> T,
    ) -> T {
        self.with_facts(request, response_size, |facts| {
            call(RequestScope {
                head: RequestAccess::Read(request),
                facts,
            })
        })
    }

    pub(super) fn with_facts<T>(
        &self,
        request: &Request,
        response_size: Option<u64>,
        call: impl FnOnce(&RequestFacts<'_>) -> T,
    ) -> T {
        call(&RequestFacts {
            response_size,
            ..self.facts(request, &Named(&request.pools), &self.state())
        })
    }

    fn facts<'a>(
        &self,
        request: &'a Request,
        pools: &'a Named<'a>,
        state: &'a RequestState,
    ) -> RequestFacts<'a> {
        RequestFacts {
            client: request.client,
            peer: request.trusted_peer.unwrap_or(request.client),
            peer_is_trusted: request.trusted_peer.is_some(),
            scheme: request.scheme(),
            certificate: request.certificate.as_ref(),
            route: &request.route,
            pools: (!pools.0.is_empty()).then_some(pools as &dyn Pools),
            pool: (pools.0.len() == 1).then_some(0),
            request_size: Some(request.body.len() as u64),
            response_size: None,
            step: self.place,
            state,
        }
    }

    pub(super) fn plugin(&self) -> &WasmPlugin {
        &self.plugin
    }

    /// The bytes of the largest body and of the longest unit that the plugin is shown.
    pub(super) fn limits(&self) -> (u32, u32) {
        let limits = &self.plugin.generation().settings().limits;
        let bytes = |size: usize| u32::try_from(size).unwrap_or(Content::MOST);
        (bytes(limits.read_body_bytes), bytes(limits.unit_bytes))
    }

    /// The resources that the plugin's instance has used; `None` if there is no instance, because it failed
    /// or was never called.
    pub fn usage(&self) -> Option<Usage> {
        self.plugin.usage()
    }

    /// Advances the time of the clocks and windows, of this plugin and of its neighbors.
    pub fn advance(&self, duration: Duration) {
        for plugin in self.route() {
            plugin.time.advance(duration);
        }
    }

    /// The wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
    pub fn wall(&self) -> u64 {
        self.scope.time().wall()
    }

    /// Sets the wall clock, in nanoseconds since 1970-01-01T00:00:00Z; no time passes.
    pub fn set_wall(&self, wall: u64) {
        for plugin in self.route() {
            plugin.time.set_wall(wall);
        }
    }

    /// Takes the lines logged since the last call, including those of `configure`.
    pub fn take_lines(&self) -> Vec<Line> {
        self.lines.take()
    }

    /// The value of a counter; `None` if the plugin has not opened one of this name.
    pub fn counter(&self, name: &str) -> Option<u64> {
        let mut counters = self.counters().into_iter();
        counters.find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Every open counter with its value.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let counters = self.scope.counters().into_iter();
        counters.map(|(name, counter)| (name, counter.value())).collect()
    }

    /// The names of the open tables.
    pub fn tables(&self) -> Vec<String> {
        self.scope.tables().into_iter().map(|(name, _)| name).collect()
    }

    /// The value of a key in a table, if it has one; `None` if the plugin has not opened a table of this name.
    pub fn value(&self, table: &str, key: impl AsRef<[u8]>) -> Option<Option<Vec<u8>>> {
        let tables = self.scope.tables().into_iter();
        let (_, table) = tables.into_iter().find(|(known, _)| known == table)?;
        let value = table.get(key.as_ref(), self.scope.now());
        Some(value.map(|value| value.to_vec()))
    }

    /// The plugin's metrics: each series as the export calls it, without the label `plugin`, and its number.
    /// Of a histogram these are `NAME_count`, `NAME_sum` and `NAME_bucket` for each bound.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        metrics::series(&self.store)
    }

    /// The names of the open windows.
    pub fn windows(&self) -> Vec<String> {
        self.scope.windows().into_iter().map(|(name, _)| name).collect()
    }

    /// The number of a key's events in a window; `None` if the plugin has not opened one of this name.
    pub fn events(&self, window: &str, key: &WindowKey) -> Option<u32> {
        let (window, spec) = self.opened(window)?;
        Some(window.count(&spec, key.as_key(), self.scope.now()))
    }

    /// Puts events into a window that the plugin has opened. They happened `ago`, and stay for the plugin's
    /// period; the plugin's limit does not apply to them. `false` if the plugin has not opened a window of
    /// this name.
    ///
    /// Events of one key must be put in the order in which they happened.
    pub fn put_events(&self, window: &str, key: &WindowKey, events: u32, ago: Duration) -> bool {
        let Some((window, spec)) = self.opened(window) else {
            return false;
        };
        let unlimited = unlimited(&spec);
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        let at = Now::from_millis(self.scope.now().as_millis().saturating_sub(ago));
        // A window has room for as many events as a number can say; what is more is not there.
        let _taken = window.take(&unlimited, key.as_key(), events, at);
        true
    }

    fn opened(&self, name: &str) -> Option<(Arc<pace_state::Window>, WindowSpec)> {
        let windows = self.scope.windows().into_iter();
        let (_, window) = windows.into_iter().find(|(known, _)| known == name)?;
        let spec = window.spec()?;
        Some((window, spec))
    }
}

/// The same period with room for all events.
fn unlimited(spec: &WindowSpec) -> WindowSpec {
    let all = WindowSpec::new(u32::MAX, spec.period());
    all.unwrap_or(*spec)
}

/// The pools of a request's route.
struct Named<'a>(&'a [String]);

impl Pools for Named<'_> {
    fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    fn name(&self, index: usize) -> &str {
        &self.0[index]
    }
}

/// The plugin's entry in a configuration: without breaker and rollback, since each call stands for itself.
fn entry(setup: &Setup) -> pace_config::Plugin {
    let mut entry = pace_config::Plugin::new(&setup.name, Source::File("test.wasm".into()));
    entry.isolation = setup.isolation;
    entry.limits = setup.limits;
    entry.breaker.failures = 0;
    entry.rollback.calls = 0;
    let secrets = setup.secrets.iter();
    entry.secrets = secrets
        .map(|(name, text)| (name.clone(), Secret::from(text.clone())))
        .collect();
    entry.config = setup.config.clone();
    entry
}
