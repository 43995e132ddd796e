//! The cases of each scene.

use super::Scene;
use super::load::Case;
use crate::proxies::backend::Backends;
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, response};
use crate::proxies::subject::{Setting, Subject};
use anyhow::Result;

/// More clients than any cache holds.
pub(super) const MANY_CLIENTS: u32 = 1_000_000;

/// Enough clients to use a thousand backends evenly.
const SOME_CLIENTS: u32 = 20_000;

const MANY_BACKENDS: usize = 1000;
const MANY_HEADERS: usize = 30;

/// The cases of a scene about load, with the backends that they need.
pub(super) fn of(scene: Scene, subjects: &[Subject], all: &mut Backends) -> Result<Vec<Case>> {
    let backends = all.add(2, response(FEWEST_HEADERS, SMALL_BODY))?;
    let plain = Setting::plain(&backends);
    Ok(match scene {
        Scene::Workers => vary(
            subjects,
            [1, 2, 4],
            |workers, case| {
                case.setting.workers = workers;
                case.called(workers, "worker", "workers");
            },
            &plain,
        ),
        Scene::Clients => vary(
            subjects,
            [1, MANY_CLIENTS],
            |clients, case| {
                case.setting.clients_are_named = true;
                case.shape.clients = Some(clients);
                case.called(clients as usize, "client", "clients");
            },
            &plain,
        ),
        Scene::Backends | Scene::Balancers => {
            let many = all.add(MANY_BACKENDS, response(FEWEST_HEADERS, SMALL_BODY))?;
            vary(
                subjects,
                [backends, many],
                |backends, case| {
                    case.called(backends.len(), "backend", "backends");
                    case.setting.backends = backends;
                    if scene == Scene::Balancers {
                        // One client would have one backend with a consistent hash.
                        case.setting.clients_are_named = true;
                        case.shape.clients = Some(SOME_CLIENTS);
                    }
                },
                &plain,
            )
        }
        Scene::Headers => {
            let many = all.add(2, response(MANY_HEADERS, SMALL_BODY))?;
            let values = [(FEWEST_HEADERS, backends), (MANY_HEADERS, many)];
            vary(
                subjects,
                values,
                |(headers, backends), case| {
                    case.shape.headers = headers;
                    case.setting.backends = backends;
                    case.called(headers, "header", "headers");
                },
                &plain,
            )
        }
        _ => subjects
            .iter()
            .map(|subject| Case::new(*subject, &plain))
            .collect(),
    })
}

/// A case for each subject and value, compared with the case of the subject and the first value.
fn vary<T: Clone, const N: usize>(
    subjects: &[Subject],
    values: [T; N],
    apply: impl Fn(T, &mut Case),
    plain: &Setting,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for subject in subjects {
        let base = cases.len();
        for value in &values {
            let mut case = Case::new(*subject, plain);
            case.base = base;
            apply(value.clone(), &mut case);
            cases.push(case);
        }
    }
    cases
}
