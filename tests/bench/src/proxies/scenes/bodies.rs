//! The cases with plugins that are shown bodies of requests, or the server-sent events of responses.
//!
//! Each is compared with the same traffic and no plugin. The plugin that does nothing with heads tells what the call of a hook
//! is without a body.

use super::load::Case;
use crate::proxies::backend::Backends;
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, Shape, events, response};
use crate::proxies::subject::{Setting, Subject};
use anyhow::Result;

/// The events of a response, 75 bytes each.
const EVENTS: usize = 500;

pub(super) fn cases(subjects: &[Subject], all: &mut Backends) -> Result<Vec<Case>> {
    let small = all.add(2, response(FEWEST_HEADERS, SMALL_BODY))?;
    let streaming = all.add(2, events(FEWEST_HEADERS, EVENTS))?;
    let mut cases = Vec::new();
    let sizes = [
        ("post-1k", "POST, 1 KiB", 1 << 10),
        ("post-64k", "POST, 64 KiB", 64 << 10),
    ];
    for (key, name, body) in sizes {
        let base = cases.len();
        for subject in subjects.iter().filter(|subject| !subject.is_shown_events()) {
            let mut case = Case::new(*subject, &Setting::plain(&small));
            case.shape = Shape { body, ..Shape::SMALL };
            case.base = base;
            case.with_traffic(key, name);
            cases.push(case);
        }
    }
    let base = cases.len();
    for subject in subjects.iter().filter(|subject| !subject.is_shown_bodies()) {
        let mut case = Case::new(*subject, &Setting::plain(&streaming));
        case.base = base;
        case.with_traffic("events", "GET, 500 events");
        cases.push(case);
    }
    Ok(cases)
}
