//! The default plugins and the four calls that a request makes of them, shared by measurements.

use std::fmt;
use std::time::Duration;

use pace_config::Isolation;
use pace_harness::{Backend, Exchange, Pool, Request, Session, Setup, Subject};
use pace_hook::{Failure, Selection, Verdict};
use pace_sandbox::builtin;
use serde_json::{Map, Value, json};

/// How a plugin is run.
#[allow(dead_code, reason = "only the benchmark compares them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As Pace runs it: the only module, without the component around it.
    Module,
    /// As a component that is more than its module.
    Component,
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Way::Module => "module",
            Way::Component => "component",
        })
    }
}

/// The default plugins, compiled.
pub(crate) struct Subjects {
    limiter: Subject,
    balancer: Subject,
    least_request: Subject,
    peak_ewma: Subject,
    consistent_hash: Subject,
    injector: Subject,
}

impl Subjects {
    /// Compiles the plugins.
    #[allow(dead_code, reason = "counting programs compile in another way")]
    pub(crate) fn compile(way: Way) -> Subjects {
        Subjects::with(|name, component| {
            let subject =
                Subject::compile(name, changed(component, way)).expect("a default plugin is a plugin");
            assert_eq!(subject.runs(), way.to_string());
            subject
        })
    }

    /// Compiles the plugins for [`Session::usage`] to count instructions.
    #[allow(dead_code, reason = "not every program with this file counts")]
    pub(crate) fn counting_instructions() -> Subjects {
        Subjects::with(|name, component| {
            Subject::counting_instructions(name, component.to_vec()).expect("a default plugin is a plugin")
        })
    }

    fn with(compile: impl Fn(&str, &[u8]) -> Subject) -> Subjects {
        let of = |name: &str| compile(name, builtin::component(name).expect("it is a default plugin"));
        Subjects {
            limiter: of("rate-limiter"),
            balancer: of("round-robin"),
            least_request: of("least-request"),
            peak_ewma: of("peak-ewma"),
            consistent_hash: of("consistent-hash"),
            injector: of("header-injection"),
        }
    }

    /// Configures the plugins with their defaults, except for the limit and the edits of `editor`.
    pub(crate) fn chain(&self, isolation: Isolation) -> Chain {
        let configured = |subject: &Subject, config: Value| {
            let config: Map<String, Value> = serde_json::from_value(config).expect("it is a table");
            let setup = Setup {
                config,
                isolation,
                ..Setup::default()
            };
            subject.configure(&setup).expect("the configuration is legal")
        };
        let backends = ["127.0.0.1:8000", "127.0.0.1:8001"].map(|address| Backend {
            latency: Some(Duration::from_millis(2)),
            ..Backend::new(address)
        });
        Chain {
            limiter: configured(
                &self.limiter,
                // No request is refused: an answer costs more than letting one through.
                json!({ "max_requests": u32::MAX, "window_seconds": 60 }),
            ),
            injector: configured(&self.injector, json!({})),
            editor: configured(
                &self.injector,
                json!({
                    "request": { "set": { "x-forwarded-by": "pace" } },
                    "response": { "set": { "x-served-by": "pace" }, "remove": ["server"] },
                }),
            ),
            balancer: configured(&self.balancer, json!({})),
            least_request: configured(&self.least_request, json!({})),
            peak_ewma: configured(&self.peak_ewma, json!({})),
            consistent_hash: configured(&self.consistent_hash, json!({})),
            pool: Pool::new(backends),
            exchange: Exchange::new(
                Request::get("/orders?page=2")
                    .with_header("user-agent", "curl/8.5.0")
                    .with_header("accept", "*/*"),
            ),
        }
    }
}

/// Adds an unused core module, so that the component is no longer one around a single module.
#[allow(dead_code, reason = "see `compile`")]
fn changed(component: &[u8], way: Way) -> Vec<u8> {
    const EMPTY: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
    match way {
        Way::Module => component.to_vec(),
        Way::Component => [component, EMPTY].concat(),
    }
}

/// A request that goes through the default plugins again and again.
pub(crate) struct Chain {
    limiter: Session,
    balancer: Session,
    least_request: Session,
    peak_ewma: Session,
    consistent_hash: Session,
    injector: Session,
    /// The header plugin with edits beside its default ones.
    editor: Session,
    pool: Pool,
    exchange: Exchange,
}

/// One of the calls of [`Chain`].
pub(crate) type HookCall = fn(&mut Chain);

impl Chain {
    /// The calls by name, all of them in turn, two that do more, and the other balancers.
    pub(crate) const CALLS: [(&'static str, HookCall); 10] = [
        ("rate-limiter request-filter", Chain::limit),
        ("header-injection request-filter", Chain::inject_request),
        ("round-robin select-upstream", Chain::select),
        ("header-injection response-filter", Chain::inject_response),
        ("all four", Chain::all),
        (
            "header-injection request-filter, one edit more",
            Chain::edit_request,
        ),
        (
            "header-injection response-filter, two edits more",
            Chain::edit_response,
        ),
        ("least-request select-upstream", Chain::select_least_request),
        ("peak-ewma select-upstream", Chain::select_peak_ewma),
        ("consistent-hash select-upstream", Chain::select_consistent_hash),
    ];

    fn limit(&mut self) {
        passed(self.limiter.request_filter(&mut self.exchange.request));
    }

    fn inject_request(&mut self) {
        passed(self.injector.request_filter(&mut self.exchange.request));
    }

    fn edit_request(&mut self) {
        passed(self.editor.request_filter(&mut self.exchange.request));
    }

    fn select(&mut self) {
        pick(&self.balancer, self);
    }

    fn select_least_request(&mut self) {
        pick(&self.least_request, self);
    }

    fn select_peak_ewma(&mut self) {
        pick(&self.peak_ewma, self);
    }

    fn select_consistent_hash(&mut self) {
        pick(&self.consistent_hash, self);
    }

    fn inject_response(&mut self) {
        respond(&mut self.injector, &mut self.exchange);
    }

    fn edit_response(&mut self) {
        respond(&mut self.editor, &mut self.exchange);
    }

    fn all(&mut self) {
        self.limit();
        self.inject_request();
        self.select();
        self.inject_response();
    }

    /// The instructions that the plugins' own code has executed, if they are counted.
    #[allow(dead_code, reason = "not every program with this file counts")]
    pub(crate) fn instructions(&self) -> Option<u64> {
        let all = [
            &self.limiter,
            &self.balancer,
            &self.least_request,
            &self.peak_ewma,
            &self.consistent_hash,
            &self.injector,
            &self.editor,
        ];
        all.into_iter()
            .map(|session| session.usage().map_or(Some(0), |usage| usage.instructions))
            .sum()
    }
}

fn pick(balancer: &Session, chain: &Chain) {
    let selected = balancer.select_upstream(&chain.exchange.request, &chain.pool, 1);
    assert!(matches!(selected, Ok(Selection::Pick(_))), "{selected:?}");
}

fn respond(session: &mut Session, exchange: &mut Exchange) {
    let Exchange {
        request, response, ..
    } = exchange;
    let backend = Some("127.0.0.1:8000");
    passed(session.response_filter(request, response, backend));
}

fn passed(verdict: Result<Verdict, Failure>) {
    assert!(matches!(verdict, Ok(Verdict::Next)), "{verdict:?}");
}
