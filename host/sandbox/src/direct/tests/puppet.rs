//! The puppet: a plugin that carries out the orders of a test, run in both ways.

mod text;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntGauge;
use wit_component::StringEncoding;

use super::heads::{Head, Pool, Trial, certificate};
use super::wrapped;
use crate::{Allocation, Generation, Program, Runtime, WasmPlugin};
use pace_config::telemetry::Secret;
use pace_config::{Config, Overrides, Sha256};
use pace_content::body::{Access, Content};
use pace_content::frames::{Cutter, Framing, Interest, Piece};
use pace_hook::{
    AttemptFailure, ClientCertificate, Ending, Failure, FailureReason, Heads, Hook, Judgement, Opening,
    Plugin, Pools, RequestAccess, RequestFacts, RequestScope, RequestState, ResponseHead, Selection, Verdict,
};
use pace_state::{Key, ManualTime, Scope, Time, WindowSpec};

pub(super) use text::{FUNCTIONS, Function, number};

/// The part of the puppet's memory that a test fills. The puppet's own memory is behind.
pub(super) const MEMORY: usize = 2 << 16;

/// All the memory that the puppet begins with, in bytes: more than half of its limit.
pub(super) const ALL_MEMORY: usize = 11 << 16;

/// The limit of handles in [`CONFIG`].
pub(super) const HANDLES: usize = 200;

/// The handles that the puppet opens when it is configured, in their order: each has its place as its number.
pub(super) const OPENED: [(&str, &str); 6] = [
    ("counters", "counter"),
    ("windows", "window"),
    ("metrics", "counter"),
    ("metrics", "gauge"),
    ("metrics", "histogram"),
    ("tables", "table"),
];

/// The most parameters of a call.
const PARAMETERS: usize = 12;

/// The place of the orders in the puppet's memory.
const ORDERS: usize = 1 << 16;

/// Orders to the puppet for one hook.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// The bytes at the beginning of the first half of the memory.
    pub(super) memory: Vec<u8>,
    /// Functions to call, by number, with their parameters.
    pub(super) calls: Vec<(usize, Vec<u64>)>,
    pub(super) realloc: Realloc,
    /// The pointer to return; `None` to return all of the memory that a test fills.
    pub(super) result: Option<u32>,
    pub(super) post_return: PostReturn,
}

/// The behaviour of `cabi_realloc`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Realloc {
    /// Allocates from here on.
    From(u32),
    /// Allocates from here on, and lets the memory grow by a page each time.
    Grows(u32),
    /// Returns this place each time.
    Fixed(u32),
    Misbehaves(Misdeed),
    /// Calls this function with zeros.
    Calls(usize),
}

/// The behaviour of the function that frees the result.
#[derive(Clone, Copy, Debug)]
pub(super) enum PostReturn {
    Nothing,
    Misbehaves(Misdeed),
    /// Calls this function with zeros.
    Calls(usize),
}

/// A misdeed that a limit has to stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Misdeed {
    Traps,
    LoopsForever,
    RecursForever,
    GrowsTooLarge,
}

/// The outcome of a hook, as its caller sees it.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Verdict(Verdict),
    Selection(Selection),
    Judgement(Judgement),
    /// The verdict on a body, and the body after it.
    Shown(Verdict, Vec<u8>),
    /// The hook has no result.
    Done,
    /// A message was opened or not, and filtered if it was, in words.
    Filtered(String),
    Failed(FailureReason),
    /// The configuration was refused.
    Refused(String),
}

impl Outcome {
    /// The body of a response.
    pub(super) fn memory(&self) -> Option<&[u8]> {
        match self {
            Outcome::Verdict(Verdict::Respond(reply))
            | Outcome::Shown(Verdict::Respond(reply), _)
            | Outcome::Judgement(Judgement::Respond(reply))
            | Outcome::Selection(Selection::Respond(reply)) => Some(&reply.body),
            _ => None,
        }
    }
}

/// The outcome of a hook, and the state of everything that a plugin can change. The text of a failure is apart, because
/// it differs.
#[derive(Debug, PartialEq)]
pub(super) struct Played {
    pub(super) outcome: Outcome,
    request: Head,
    response: Head,
    trial: Trial,
    counters: Vec<(String, u64)>,
    /// The name of each window, its number of keys, and the number of events of one of them.
    windows: Vec<(String, usize, u32)>,
    metrics: String,
    /// The name of each table, its number of keys, and the value of one of them.
    tables: Vec<Entries>,
}

/// The part of a plugin that is run: a hook, or the judgement of the one that has two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Of(Hook),
    Judge,
}

impl From<Hook> for Part {
    fn from(hook: Hook) -> Part {
        Part::Of(hook)
    }
}

/// A plugin that is run in one of the two ways.
pub(super) struct Puppet {
    generation: Arc<Generation>,
}

/// A plugin that is run as a module, and again as a component.
pub(super) struct Both {
    as_module: Puppet,
    as_component: Puppet,
}

impl Both {
    /// The puppet, which carries out orders.
    pub(super) fn puppet() -> &'static Both {
        static PUPPET: LazyLock<Both> = LazyLock::new(|| Both::of(&text::text(), "plugin"));
        &PUPPET
    }

    /// Any other plugin, from its text, of a world of the contract.
    pub(super) fn of(text: &str, world: &str) -> Both {
        /// A core module that nothing uses.
        const EMPTY: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
        let component = wrapped(text, world, StringEncoding::UTF8);
        Both {
            as_module: Puppet::new(&component, "module"),
            as_component: Puppet::new(&[component.as_slice(), EMPTY].concat(), "component"),
        }
    }

    /// Carries out the orders in both ways, and asserts that they come to the same. Returns the outcome, and the text of
    /// the module's failure.
    #[track_caller]
    pub(super) fn play(&self, part: impl Into<Part>, orders: &Orders) -> (Outcome, Option<String>) {
        let part = part.into();
        let (as_module, detail) = self.as_module.play(part, orders);
        let (as_component, of_component) = self.as_component.play(part, orders);
        assert!(
            as_module == as_component,
            "in {part:?} differs {}, after {:?}\nas a module: {detail:?}\nas a component: {of_component:?}",
            as_module.difference(&as_component),
            orders
                .calls
                .iter()
                .map(|(function, given)| (&FUNCTIONS[*function].name, given))
                .collect::<Vec<_>>(),
        );
        (as_module.outcome, detail)
    }
}

impl Played {
    /// The difference in few words: outcomes have all of the memory in them.
    fn difference(&self, other: &Played) -> String {
        match [self, other].map(|played| played.outcome.memory()) {
            [Some(one), Some(other)] if one != other => {
                let places = one.iter().zip(other).enumerate();
                let differing = places.filter(|(_, (one, other))| one != other);
                format!(
                    "the memory at {:?}",
                    differing.map(|(at, _)| at).collect::<Vec<_>>()
                )
            }
            [Some(_), None] | [None, Some(_)] => "whether it fails".to_owned(),
            _ if self.outcome != other.outcome => format!("{:?} from {:?}", self.outcome, other.outcome),
            _ => "a message or a part of the state".to_owned(),
        }
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(None, 1).expect("there is a compiler"));

impl Puppet {
    fn new(component: &[u8], runs: &str) -> Puppet {
        let program = Program::load(&RUNTIME, Allocation::OnDemand, component).expect("it is a plugin");
        assert_eq!(program.runs(), runs);
        let config = Config::parse(CONFIG, Path::new("puppet.toml"), &Overrides::default());
        let mut entry = config.expect("it is valid").plugins.remove(0);
        let secret = Secret::from("counter".to_owned());
        entry.secrets = [("x_new".to_owned(), secret)].into_iter().collect();
        let hash = Sha256::parse(&"0".repeat(64)).expect("it has the form of one");
        let gauge = IntGauge::new("breaker", "breaker").expect("it has a name");
        let generation = Generation::new(&entry, 1, hash, Arc::new(program), gauge, Arc::new(|_, _| ()));
        Puppet {
            generation: Arc::new(generation),
        }
    }

    /// Carries out the orders in a part, in a new instance with state of its own.
    fn play(&self, part: Part, orders: &Orders) -> (Played, Option<String>) {
        let time = Time::Manual(ManualTime::at(1_700_000_000_123_456_789));
        let store = pace_state::Store::with(usize::MAX, time, pace_state::Entropy::seeded(1));
        let scope = store.scope("puppet", "puppet", pace_state::ScopeLimits::default());
        let mut request = Head::new(orders.encode());
        let mut response = Head::new(Vec::new());
        let mut trial = Trial::new();
        let generation = Arc::clone(&self.generation);
        let plugin = WasmPlugin::new(&RUNTIME, generation, "{}".to_owned(), Arc::clone(&scope));
        let result = plugin.and_then(|plugin| match part {
            Part::Of(Hook::AttemptFilter) => prepare(&plugin, &request, &mut trial),
            Part::Of(hook) => run(&plugin, hook, &mut request, &mut response),
            Part::Judge => judge(&plugin, &request, &response, &trial),
        });
        let (outcome, detail) = match result {
            Ok(outcome) => (outcome, None),
            Err(Failure {
                reason: FailureReason::Configure,
                detail,
            }) if !detail.contains(" failed: ") => (Outcome::Refused(detail), None),
            Err(Failure { reason, detail }) => (Outcome::Failed(reason), Some(detail)),
        };
        let played = Played {
            outcome,
            request,
            response,
            trial,
            counters: counters(&scope),
            windows: windows(&scope),
            metrics: format!("{:?}", store.metrics()),
            tables: tables(&scope),
        };
        (played, detail)
    }
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn facts<'a>(certificate: Option<&'a ClientCertificate>, state: &'a RequestState) -> RequestFacts<'a> {
    RequestFacts {
        client: CLIENT,
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8)),
        peer_is_trusted: true,
        scheme: "http",
        certificate,
        route: "all",
        pools: Some(&OnePool),
        pool: Some(0),
        request_size: Some(7),
        response_size: None,
        step: 1,
        state,
    }
}

fn prepare(plugin: &WasmPlugin, request: &Head, trial: &mut Trial) -> Result<Outcome, Failure> {
    let (mut content, state) = (content(), RequestState::default());
    let scope = RequestScope {
        head: RequestAccess::Read(request),
        facts: &facts(None, &state),
    };
    let verdict = plugin.prepare(scope, trial, Some(&mut content), 2)?;
    Ok(Outcome::Shown(verdict, content.bytes().to_vec()))
}

fn judge(plugin: &WasmPlugin, request: &Head, response: &Head, trial: &Trial) -> Result<Outcome, Failure> {
    let state = RequestState::default();
    let scope = RequestScope {
        head: RequestAccess::Read(request),
        facts: &facts(None, &state),
    };
    let response = Some((response as &dyn ResponseHead, Some("127.0.0.1:8000")));
    plugin.judge(scope, trial, response, 2).map(Outcome::Judgement)
}

fn run(plugin: &WasmPlugin, hook: Hook, request: &mut Head, response: &mut Head) -> Result<Outcome, Failure> {
    // One hook is without, so that both answers are compared.
    let certificate = (hook != Hook::SelectUpstream).then(certificate);
    let state = RequestState::default();
    let facts = facts(certificate.as_ref(), &state);
    let scope = |head| RequestScope { head, facts: &facts };
    match hook {
        Hook::RequestFilter => plugin
            .request_filter(scope(RequestAccess::Edit(request)))
            .map(Outcome::Verdict),
        Hook::RequestBodyFilter => {
            let mut content = content();
            let verdict = plugin.request_body(scope(RequestAccess::Edit(request)), &mut content)?;
            Ok(Outcome::Shown(verdict, content.bytes().to_vec()))
        }
        Hook::ResponseBodyFilter => {
            let mut content = content();
            let request = scope(RequestAccess::Read(request));
            let verdict = plugin.response_body(request, response, None, &mut content)?;
            Ok(Outcome::Shown(verdict, content.bytes().to_vec()))
        }
        Hook::RequestStreamFilter => {
            let heads = Heads {
                request,
                facts: &facts,
                response: None,
            };
            filtered(plugin.open_request_stream(heads)?, heads)
        }
        Hook::ResponseStreamFilter => {
            let heads = Heads {
                request,
                facts: &facts,
                response: Some((response, None)),
            };
            filtered(plugin.open_response_stream(heads)?, heads)
        }
        Hook::AttemptFilter => Err(Failure::no_such_hook()),
        Hook::SelectUpstream => plugin
            .select_upstream(scope(RequestAccess::Read(request)), &Pool, 2)
            .map(Outcome::Selection),
        Hook::ResponseFilter => plugin
            .response_filter(
                scope(RequestAccess::Read(request)),
                response,
                Some("127.0.0.1:8000"),
            )
            .map(Outcome::Verdict),
        Hook::Finished => plugin
            .finished(
                scope(RequestAccess::Read(request)),
                Some((response, Some("127.0.0.1:8000"))),
                &ended(),
            )
            .map(|()| Outcome::Done),
    }
}

/// The pools of a route that has one.
struct OnePool;

impl Pools for OnePool {
    fn index_of(&self, name: &str) -> Option<usize> {
        (name == "web").then_some(0)
    }

    fn name(&self, _index: usize) -> &str {
        "web"
    }
}

/// Filters a message of an event, and then of a chunk.
fn filtered(opening: Option<Opening>, heads: Heads<'_>) -> Result<Outcome, Failure> {
    let Some(mut opening) = opening else {
        return Ok(Outcome::Filtered("not opened".to_owned()));
    };
    let mut steps = Vec::new();
    let mut sent = Vec::new();
    for (framing, bytes) in [(Framing::Event, EVENT), (Framing::Chunk, b"{}".as_slice())] {
        let mut cutter = Cutter::new(framing, opening.access, Interest::default(), 1 << 20);
        cutter.push(bytes);
        while let Ok(Some(Piece::Unit(mut unit))) = cutter.next_piece() {
            let (content, event) = unit.lend();
            steps.push(opening.message.next(heads, content, event)?);
            sent.push(cutter.put_back(unit));
        }
    }
    let mut last = Content::unit(Bytes::new());
    last.allow(Access::Nothing, 0);
    opening.message.end(heads, Ending::ClientGone, &mut last)?;
    Ok(Outcome::Filtered(format!(
        "{:?} {:?} {:?} {steps:?} {sent:?}",
        opening.framing, opening.access, opening.interest,
    )))
}

/// Content in both forms, whose shown one is the data of [`EVENT`].
fn content() -> Content {
    let shown = EVENT
        .split(|byte| *byte == b'\n')
        .nth(1)
        .expect("it has two lines");
    Content::decoded(
        Bytes::from_static(b"as it was sent"),
        shown["data: ".len()..].to_vec(),
    )
}

/// An event, whose data is an object with each kind of value, and a member that is there twice.
const EVENT: &[u8] = br#"event: token
data: {"a": "text", "b": [1, 2.5, null, true], "c": {"d": -7, "e": "\u00e4"}, "f": 1, "f": 2}

"#;

/// An outcome with everything in it, and one thing missing.
fn ended() -> pace_hook::Outcome<'static> {
    pace_hook::Outcome {
        ending: Ending::BackendFailed,
        status: Some(502),
        request_bytes: 7,
        response_bytes: 1 << 40,
        attempts: 3,
        backend: Some("127.0.0.1:8000"),
        pool: Some("web"),
        failure: Some(AttemptFailure::Status(503)),
        total: Duration::from_nanos(123_456_789),
        queue: Some(Duration::from_nanos(12)),
        connect: Some(Duration::from_nanos(345)),
        first_byte: None,
    }
}

fn counters(scope: &Scope) -> Vec<(String, u64)> {
    let all = scope.counters().into_iter();
    all.map(|(name, counter)| (name, counter.value())).collect()
}

/// A table: its name, the number of its entries, and the value of the puppet's key.
type Entries = (String, usize, Option<Arc<[u8]>>);

fn tables(scope: &Scope) -> Vec<Entries> {
    let all = scope.tables().into_iter();
    all.map(|(name, table)| (name, table.len(), table.get(b"counter", scope.now())))
        .collect()
}

fn windows(scope: &Scope) -> Vec<(String, usize, u32)> {
    let count = |window: &pace_state::Window| {
        let spec = WindowSpec::new(1, std::time::Duration::from_secs(3600)).expect("it is valid");
        window.count(&window.spec().unwrap_or(spec), Key::Address(CLIENT), scope.now())
    };
    let all = scope.windows().into_iter();
    all.map(|(name, window)| (name, window.len(), count(&window)))
        .collect()
}

/// The puppet's configuration: it may fail as often as it wants, and take its time.
const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"

[[plugins]]
name = "puppet"
wasm = "builtin:round-robin"
limits = { time_ms = 500, memory_mb = 1, handles = 200, read_body_kb = 256 }
breaker = { failures = 0 }
rollback = { calls = 0 }

[[pools]]
name = "web"
backends = ["127.0.0.1:1"]

[[routes]]
pool = "web"
plugins = ["puppet"]
"#;

impl Orders {
    /// The bytes that the puppet's memory is filled with.
    fn encode(&self) -> Vec<u8> {
        let mut memory = self.memory.clone();
        memory.resize(MEMORY, 0);
        let thunk = |function: usize| function as u32 + 1;
        let (realloc, at) = match self.realloc {
            Realloc::From(at) => (0, at),
            Realloc::Fixed(at) => (1, at),
            Realloc::Misbehaves(misdeed) => (2, misdeed as u32),
            Realloc::Calls(function) => (3, thunk(function)),
            Realloc::Grows(at) => (4, at),
        };
        let (post_return, after) = match self.post_return {
            PostReturn::Nothing => (0, 0),
            PostReturn::Misbehaves(misdeed) => (1, misdeed as u32),
            PostReturn::Calls(function) => (2, thunk(function)),
        };
        let words = [
            self.calls.len() as u32,
            realloc,
            at,
            post_return,
            after,
            u32::from(self.result.is_some()),
            self.result.unwrap_or_default(),
        ];
        let mut at = ORDERS;
        let mut write = |bytes: &[u8]| {
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        words.iter().for_each(|word| write(&word.to_le_bytes()));
        write(&[0; 4]);
        for (function, parameters) in &self.calls {
            write(&u64::from(thunk(*function)).to_le_bytes());
            let given = parameters.iter().copied().chain(std::iter::repeat(0));
            given
                .take(PARAMETERS)
                .for_each(|parameter| write(&parameter.to_le_bytes()));
            write(&[0; 24]);
        }
        memory
    }
}
