//! Which backend gets the next attempt.

use pingora::Result;
use pingora_proxy::Session;

use super::Proxy;
use super::answer::refuse;
use super::context::Context;
use super::error::{Refusal, refusal_after};
use crate::chain::SelectFlow;
use crate::hook::Reply;
use crate::upstream::Attempts;

/// What asking for a backend came to.
pub(super) enum Selected {
    Backend(u32),
    Reply(Reply),
    Refused(Refusal),
}

/// Asks the route's plugins for the backend of the next attempt.
pub(super) fn select(session: &Session, context: &Context) -> Selected {
    let route = context.route.as_ref().expect("a backend is chosen for a route");
    let candidates = Attempts {
        pool: &route.pool,
        tried: &context.tried,
        last_failure: context.last_failure,
    };
    let attempt = context.attempt + 1;
    match route
        .chain
        .select_upstream(context.asker(), session.req_header(), &candidates, attempt)
    {
        SelectFlow::Pick(index) => Selected::Backend(index),
        SelectFlow::Respond(reply) => Selected::Reply(reply),
        SelectFlow::NoneLeft => {
            Selected::Refused(context.last_failure.map_or(Refusal::NoBackend, refusal_after))
        }
        SelectFlow::Failed => Selected::Refused(Refusal::PluginFailed),
    }
}

impl Proxy {
    /// Asks for the backend of the next attempt. `None` if the client has been answered instead.
    pub(super) async fn choose(&self, session: &mut Session, context: &mut Context) -> Result<Option<u32>> {
        match select(session, context) {
            Selected::Backend(index) => return Ok(Some(index)),
            Selected::Reply(reply) => self.answer(session, context, reply).await?,
            Selected::Refused(refusal) => refuse(session, context, refusal).await?,
        };
        Ok(None)
    }
}
