//! A balancer costs the same for any number of backends: counted in instructions of its own code and in calls into the
//! host, so a busy machine makes no difference.

use std::time::Duration;

use pace_config::Limits;
use pace_harness::{Backend, Pool, Request, Session, Setup, Subject};
use pace_hook::Selection;
use pace_sandbox::builtin;
use serde_json::{Value, json};

/// The balancers of the binary, with the settings under which they do the most.
fn balancers() -> [(&'static str, Value); 4] {
    [
        ("round-robin", json!({})),
        ("least-request", json!({})),
        ("peak-ewma", json!({})),
        ("consistent-hash", json!({ "max_load_percent": 125 })),
    ]
}

const REQUESTS: u8 = 250;

/// The most that a thousand backends may take of what two take, in percent.
const MOST_PERCENT: u64 = 110;

/// The instructions and the calls into the host for attempts of this number, in a pool whose first backend was tried if
/// it is not the first attempt.
fn cost(balancer: &Subject, settings: &Value, backends: usize, attempt: u32) -> (u64, u64) {
    let setup = Setup {
        config: settings.as_object().expect("it is a table").clone(),
        // The host is built without optimization, and its part of the work on a new version takes long.
        limits: Limits {
            time: Duration::from_secs(1),
            ..Limits::default()
        },
        ..Setup::default()
    };
    let session = balancer.configure(&setup).expect("the settings are legal");
    let mut pool = Pool::new((0..backends).map(|number| Backend {
        latency: Some(Duration::from_millis(2)),
        ..Backend::new(format!("10.0.{}.{}:8000", number / 250, number % 250))
    }));
    pool.backends[0].tried = attempt > 1;
    let ask = |session: &Session| {
        for client in 0..REQUESTS {
            let request = Request::get("/").from_client(&format!("192.0.2.{client}"));
            let selected = session.select_upstream(&request, &pool, attempt);
            assert!(matches!(selected, Ok(Selection::Pick(_))), "{selected:?}");
        }
        let usage = session.usage().expect("an instance is kept");
        (usage.instructions.expect("they are counted"), usage.calls_out)
    };
    // The work that is done once per version is no part of the cost of a request.
    let (before, after) = (ask(&session), ask(&session));
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn thousand_backends_cost_at_most_a_tenth_more_than_two() {
    for (name, settings) in balancers() {
        let component = builtin::component(name).expect("it is in the binary").to_vec();
        let subject = Subject::counting_instructions(name, component).expect("it is a plugin");
        // A retry has as many backends left as the first attempt.
        for (attempt, few) in [(1, 2), (2, 3)] {
            let of_few = cost(&subject, &settings, few, attempt);
            let of_many = cost(&subject, &settings, 1000, attempt);
            for (of_few, of_many) in [(of_few.0, of_many.0), (of_few.1, of_many.1)] {
                assert!(
                    of_many * 100 <= of_few * MOST_PERCENT,
                    "{name}, attempt {attempt}: {of_few} with {few} backends, {of_many} with 1,000"
                );
            }
        }
    }
}
