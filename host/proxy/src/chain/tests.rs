//! Tests of the chain with scripted plugins.

use std::net::{IpAddr, Ipv4Addr};

use http::StatusCode;
use http::header::HeaderValue;
use parking_lot::Mutex;

use super::*;
use pace_hook::field::FieldName;
use pace_hook::{EditError, FailureReason, Headers, Hooks, RequestState};

/// A plugin that returns fixed results, and records its calls.
struct Scripted {
    name: &'static str,
    answer: fn() -> Result<Verdict, Failure>,
    selection: fn() -> Result<Selection, Failure>,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Plugin for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn generation(&self) -> u64 {
        1
    }

    fn hooks(&self) -> Hooks {
        Hook::ALL.into()
    }

    fn request_filter(&self, _: RequestScope<'_>) -> Result<Verdict, Failure> {
        self.asked.lock().push(self.name);
        (self.answer)()
    }

    fn select_upstream(&self, _: RequestScope<'_>, _: &dyn Candidates, _: u32) -> Result<Selection, Failure> {
        self.asked.lock().push(self.name);
        (self.selection)()
    }

    fn response_filter(
        &self,
        _: RequestScope<'_>,
        _: &mut dyn ResponseHead,
        _: Option<&str>,
    ) -> Result<Verdict, Failure> {
        self.asked.lock().push(self.name);
        (self.answer)()
    }
}

#[derive(Clone)]
struct Head;

impl Headers for Head {
    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    fn header_values(&self, _name: &str) -> Vec<&[u8]> {
        Vec::new()
    }
    fn for_each_header(&self, _each: &mut dyn FnMut(&str, &[u8])) {}
    fn set_header(&mut self, _name: &FieldName, _value: HeaderValue) -> Result<(), EditError> {
        Ok(())
    }
    fn append_header(&mut self, _name: &FieldName, _value: HeaderValue) -> Result<(), EditError> {
        Ok(())
    }
    fn remove_header(&mut self, _name: &FieldName) -> Result<bool, EditError> {
        Ok(false)
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> Option<&str> {
        None
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn version(&self) -> &'static str {
        "1.1"
    }
    fn routed_path(&self) -> &str {
        "/"
    }
    fn original_target(&self) -> &str {
        "/"
    }
    fn set_path_and_query(&mut self, _value: &str) -> Result<(), EditError> {
        Ok(())
    }
}

impl ResponseHead for Head {
    fn status(&self) -> u16 {
        200
    }
    fn set_status(&mut self, _status: u16) -> Result<(), EditError> {
        Ok(())
    }
}

fn call_context(state: &RequestState) -> CallContext<'_> {
    CallContext {
        facts: RequestFacts {
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            peer_is_trusted: false,
            scheme: "http",
            certificate: None,
            route: "all",
            pools: None,
            pool: None,
            request_size: Some(0),
            response_size: None,
            step: 0,
            state,
        },
        notes: None,
    }
}

fn next() -> Result<Verdict, Failure> {
    Ok(Verdict::Next)
}

fn teapot() -> Result<Verdict, Failure> {
    Ok(Verdict::Respond(Reply::text(
        StatusCode::IM_A_TEAPOT,
        "short and stout",
    )))
}

fn trap() -> Result<Verdict, Failure> {
    Err(Failure {
        reason: FailureReason::Trap,
        detail: "unreachable".to_owned(),
    })
}

fn pass() -> Result<Selection, Failure> {
    Ok(Selection::Pass)
}

type Answer = fn() -> Result<Verdict, Failure>;

/// A chain of plugins `a`, `b`, `c`, and the list of plugins that were called.
fn chain(answers: &[(Answer, OnFailure)]) -> (Chain, Arc<Mutex<Vec<&'static str>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let steps = ["a", "b", "c"]
        .into_iter()
        .zip(answers)
        .map(|(name, (answer, on_failure))| Step {
            plugin: Arc::new(Scripted {
                name,
                answer: *answer,
                selection: pass,
                asked: Arc::clone(&asked),
            }),
            name: name.into(),
            route: "test".into(),
            on_failure: *on_failure,
            metrics: PluginMetrics::default(),
            log: failures_of(name, "test"),
            index: 0,
            body: BodyLimits::of(&pace_config::Limits::default()),
        })
        .collect();
    (Chain::new(steps), asked)
}

#[test]
fn chain_filters_requests_in_order_and_responses_in_reverse() {
    let (chain, asked) = chain(&[(next as Answer, OnFailure::Closed); 3]);
    assert_eq!(
        chain.request_filter(call_context(&RequestState::default()), &mut Head),
        RequestFlow::Next
    );
    assert_eq!(
        chain.response_filter(
            Remaining::ALL,
            call_context(&RequestState::default()),
            &Head,
            &mut Head,
            None
        ),
        ResponseFlow::Next
    );
    assert_eq!(*asked.lock(), ["a", "b", "c", "c", "b", "a"]);
}

#[test]
fn first_answer_of_request_filters_wins() {
    let (chain, asked) = chain(&[
        (next, OnFailure::Closed),
        (teapot, OnFailure::Closed),
        (trap, OnFailure::Closed),
    ]);
    assert!(matches!(
        chain.request_filter(call_context(&RequestState::default()), &mut Head),
        RequestFlow::Respond(_)
    ));
    assert_eq!(*asked.lock(), ["a", "b"]);
}

#[test]
fn replaced_response_passes_only_the_remaining_filters() {
    let (chain, asked) = chain(&[
        (next, OnFailure::Closed),
        (teapot, OnFailure::Closed),
        (next, OnFailure::Closed),
    ]);
    let ResponseFlow::Respond(_, rest) = chain.response_filter(
        Remaining::ALL,
        call_context(&RequestState::default()),
        &Head,
        &mut Head,
        None,
    ) else {
        panic!("b replaces the response");
    };
    assert_eq!(
        chain.response_filter(
            rest,
            call_context(&RequestState::default()),
            &Head,
            &mut Head,
            None
        ),
        ResponseFlow::Next
    );
    assert_eq!(*asked.lock(), ["c", "b", "a"], "each filter is called once");
}

#[test]
fn failure_ends_the_request_if_closed_and_is_passed_over_if_open() {
    let (closed, _) = chain(&[(trap, OnFailure::Closed), (next, OnFailure::Closed)]);
    assert_eq!(
        closed.request_filter(call_context(&RequestState::default()), &mut Head),
        RequestFlow::Failed
    );
    let (open, asked) = chain(&[(trap, OnFailure::Open), (next, OnFailure::Closed)]);
    assert_eq!(
        open.request_filter(call_context(&RequestState::default()), &mut Head),
        RequestFlow::Next
    );
    assert_eq!(*asked.lock(), ["a", "b"]);
}

/// A pool with one backend.
struct Pool;

impl Candidates for Pool {
    fn count(&self) -> u32 {
        1
    }
    fn version(&self) -> u64 {
        1
    }
    fn pool(&self) -> &str {
        "pool"
    }
    fn last_failure(&self) -> Option<pace_hook::AttemptFailure> {
        None
    }
    fn last_failed(&self) -> Option<u32> {
        None
    }
    fn tried(&self, _index: u32) -> bool {
        false
    }
    fn address(&self, _index: u32) -> &str {
        "127.0.0.1:1"
    }
    fn weight(&self, _index: u32) -> u32 {
        1
    }
    fn health(&self, _index: u32) -> pace_hook::Health {
        pace_hook::Health::Healthy
    }
    fn in_flight(&self, _index: u32) -> u32 {
        0
    }
    fn latency(&self, _index: u32) -> Option<u64> {
        None
    }
}

#[test]
fn select_upstream_without_a_pick_leaves_no_backend() {
    let (chain, asked) = chain(&[(next as Answer, OnFailure::Closed); 2]);
    assert_eq!(
        chain.select_upstream(call_context(&RequestState::default()), &Head, &Pool, 1),
        SelectFlow::NoneLeft
    );
    assert_eq!(*asked.lock(), ["a", "b"]);
}
