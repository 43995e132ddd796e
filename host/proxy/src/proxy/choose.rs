//! Chooses the backend of the next attempt, by asking the route's plugins.

use pace_wire::request::RequestHead;

use super::context::Context;
use super::refuse::{Refused, refused_after};
use crate::chain::SelectFlow;
use crate::upstream::Attempts;
use pace_hook::Reply;

/// The result of asking for a backend.
pub(super) enum Selected {
    Backend(u32),
    Reply(Reply),
    Refused(Refused),
}

/// Asks the route's plugins for the backend of the next attempt.
pub(super) fn select(request: &RequestHead, context: &mut Context) -> Selected {
    if context.members.is_none() {
        context.members = Some(context.pool().members());
    }
    let context = &*context;
    let route = context.route.as_ref().expect("a backend is chosen for a route");
    let members = context.members.as_ref().expect("they have just been looked up");
    let candidates = Attempts {
        pool: context.pool(),
        members,
        tried: &context.tried,
        last_failure: context.last_failure,
    };
    let attempt = context.attempt + 1;
    match route
        .chain
        .select_upstream(context.call_context(), request, &candidates, attempt)
    {
        SelectFlow::Pick(index) => Selected::Backend(index),
        SelectFlow::Respond(reply) => Selected::Reply(reply),
        SelectFlow::NoneLeft => {
            Selected::Refused(context.last_failure.map_or(Refused::NoBackend, refused_after))
        }
        SelectFlow::Failed => Selected::Refused(Refused::PluginFailed),
    }
}
