//! Resolves the action of a route: a backend, a redirect or an answer.

use pace_wire::request::Rules;

use super::forward;
use crate::problem::Fault;
use crate::raw::Full;
use crate::raw::routes as written;
use crate::resolve::Resolver;
use crate::shape::{Place, Table};
use crate::types::route::{Action, Redirect, Respond};

const DEFAULT_REDIRECT: u16 = 307;
const DEFAULT_RESPONSE: u32 = 200;

/// The action of a route. `None` has been reported.
pub(super) fn resolve(
    entry: &written::Route,
    place: &Place,
    full: &Full,
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Option<Action> {
    let places: [Option<&Place>; 4] = [
        entry.pool.as_ref().map(|pool| &pool.place),
        entry.pools.as_ref().map(|pools| &pools.place),
        entry.redirect.as_ref().map(|redirect| &redirect.place),
        entry.respond.as_ref().map(|respond| &respond.place),
    ];
    let mut given = places.into_iter().flatten();
    let fault = match (given.next(), given.next()) {
        (None, _) => Some((place, "a route needs `pool`, `pools`, `redirect` or `respond`")),
        (Some(_), Some(second)) => Some((
            second,
            "a route has one of `pool`, `pools`, `redirect` and `respond`: each says what becomes of its requests",
        )),
        (Some(_), None) => None,
    };
    if let Some((place, fault)) = fault {
        resolver.report(place, Fault::Refused(fault.to_owned()));
        return None;
    }
    if entry.pool.is_some() || entry.pools.is_some() {
        return forward::resolve(entry, full, rules, resolver).map(Action::Forward);
    }
    forward::refuse(entry, resolver);
    if let Some(Table { value, .. }) = &entry.redirect {
        return Some(Action::Redirect(Redirect {
            to: value.to.0.clone(),
            status: value.status.map_or(DEFAULT_REDIRECT, |status| status.0),
        }));
    }
    let respond = entry.respond.as_ref()?;
    Some(Action::Respond(self::respond(&respond.value, resolver)))
}

fn respond(said: &written::Respond, resolver: &mut Resolver<'_>) -> Respond {
    let status = said.status.map_or(DEFAULT_RESPONSE, |status| status.value());
    if let (204 | 205 | 304, Some(body)) = (status, &said.body)
        && !body.value.is_empty()
    {
        let fault = format!("a response of status {status} has no body");
        resolver.report(&body.place, Fault::Refused(fault));
    }
    Respond {
        status: status as u16,
        body: said
            .body
            .as_ref()
            .map(|body| body.value.clone())
            .unwrap_or_default(),
    }
}
