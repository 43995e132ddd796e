//! Which backend gets the next attempt.

use pace_wire::request::RequestHead;

use super::context::Context;
use super::refuse::{Refused, refused_after};
use crate::chain::SelectFlow;
use crate::hook::Reply;
use crate::upstream::Attempts;

/// What asking for a backend came to.
pub(super) enum Selected {
    Backend(u32),
    Reply(Reply),
    Refused(Refused),
}

/// Asks the route's plugins for the backend of the next attempt.
pub(super) fn select(request: &RequestHead, context: &Context) -> Selected {
    let route = context.route.as_ref().expect("a backend is chosen for a route");
    let candidates = Attempts {
        pool: &route.pool,
        tried: &context.tried,
        last_failure: context.last_failure,
    };
    let attempt = context.attempt + 1;
    match route
        .chain
        .select_upstream(context.asker(), request, &candidates, attempt)
    {
        SelectFlow::Pick(index) => Selected::Backend(index),
        SelectFlow::Respond(reply) => Selected::Reply(reply),
        SelectFlow::NoneLeft => {
            Selected::Refused(context.last_failure.map_or(Refused::NoBackend, refused_after))
        }
        SelectFlow::Failed => Selected::Refused(Refused::PluginFailed),
    }
}
