//! Chooses the backend of the next attempt, by asking the route's plugins, and takes a place there.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use pace_wire::request::RequestHead;
use tokio::time::Instant;

use super::attempt::Upload;
use super::attempt_edits::prepare;
use super::context::{Context, Counted, Entered};
use super::refuse::{Refused, refused_after};
use super::sticky;
use crate::chain::SelectFlow;
use crate::http1::Client;
use crate::upstream::{Attempts, Backend, InFlight, Turn};
use pace_config::pool::InFlightLimit;
use pace_hook::Reply;

/// The result of asking for a backend.
pub(super) enum Selected {
    /// The backend with this index, at which the request has a place.
    Backend(u32),
    Reply(Reply),
    Refused(Refused),
}

/// The most times that plugins are asked for the backend of one attempt. The second time they see which backends have no room; a
/// third is needed only if the last place goes in between.
const MOST_ASKED: u32 = 3;

/// Has the route's plugins prepare the first attempt, and asks them for its backend. If no backend has room, the request waits for as
/// long as its pool allows. `None` if the client leaves meanwhile.
pub(super) async fn select_first(
    client: &mut Client,
    request: &RequestHead,
    context: &mut Context,
    upload: &mut Upload,
) -> Option<Selected> {
    match prepare_and_select(request, context, upload) {
        Selected::Refused(Refused::Full) => match context.pool().settings.upkeep.in_flight {
            Some(limit) => Box::pin(wait(client, request, context, limit)).await,
            // A newer configuration has brought the limit; this request's has no queue.
            None => Some(Selected::Refused(Refused::Full)),
        },
        selected => Some(selected),
    }
}

/// Has the route's plugins prepare the next attempt, and asks them for its backend.
pub(super) fn prepare_and_select(request: &RequestHead, context: &mut Context, upload: &Upload) -> Selected {
    match prepare(request, context, upload.pump.can_begin_again()) {
        Some(instead) => instead,
        None => select(request, context),
    }
}

/// Asks the route's plugins for the backend of the next attempt. A client's cookie goes before the plugins, and only for the first
/// attempt.
pub(super) fn select(request: &RequestHead, context: &mut Context) -> Selected {
    context.renew_members();
    if context.attempt == 0
        && let Some(index) = sticky::find(request, context)
        && let Entered::Yes = context.enter(index)
    {
        return Selected::Backend(index);
    }
    select_among(request, context, false)
}

/// Asks the route's plugins. With `skips_full` backends without room count as tried from the beginning.
fn select_among(request: &RequestHead, context: &mut Context, mut skips_full: bool) -> Selected {
    let mut refused: Option<u32> = None;
    // The backend that takes the request if no other does.
    let mut last_resort: Option<Arc<Backend>> = None;
    for _ in 0..MOST_ASKED {
        let index = match ask(request, context, skips_full) {
            SelectFlow::Pick(index) => index,
            SelectFlow::Respond(reply) => return Selected::Reply(reply),
            SelectFlow::Failed => return Selected::Refused(Refused::PluginFailed),
            SelectFlow::NoneLeft if skips_full || last_resort.is_some() => break,
            SelectFlow::NoneLeft => {
                let reason = context.last_failure.map_or(Refused::NoBackend, refused_after);
                return Selected::Refused(reason);
            }
        };
        match context.enter(index) {
            Entered::Yes => return Selected::Backend(index),
            Entered::Ejected(backend) => {
                // The plugins see the ejection in the new members.
                last_resort = Some(backend);
                context.renew_members();
                continue;
            }
            Entered::Draining => {
                // The renewed members show the drain, unless they are those of a configuration that has been replaced.
                let before = context.members.as_ref().map(|members| members.version());
                context.renew_members();
                skips_full |= context.members.as_ref().map(|members| members.version()) == before;
                continue;
            }
            Entered::OnTrial(backend) => last_resort = Some(backend),
            Entered::Full => {}
        }
        if refused == Some(index) {
            // The plugins insist on this one.
            break;
        }
        refused = Some(index);
        skips_full = true;
    }
    match last_resort.and_then(|backend| context.enter_anyway(&backend)) {
        Some(index) => Selected::Backend(index),
        None => Selected::Refused(Refused::Full),
    }
}

fn ask(request: &RequestHead, context: &Context, skips_full: bool) -> SelectFlow {
    let route = context.route.as_ref().expect("a backend is chosen for a route");
    let members = context
        .members
        .as_ref()
        .expect("they are looked up before anybody is asked");
    let candidates = Attempts {
        pool: context.pool(),
        members,
        tried: &context.tried,
        last_failure: context.last_failure,
        last: context.last.as_ref().filter(|_| context.attempt > 0),
        skips_full,
        offered: context.offered.as_ref().map(InFlight::backend),
    };
    // A backend without room counts as a failed attempt.
    let attempt = context.attempt + 1 + u32::from(skips_full);
    let flow = route
        .chain
        .select_upstream(context.call_context(), request, &candidates, attempt);
    if let SelectFlow::Pick(index) = flow {
        context.note(|noted| {
            if let Some(call) = noted.calls.last_mut() {
                call.picked = Some(Arc::clone(members.backend(index)));
            }
        });
    }
    flow
}

/// Waits until a backend that the plugins choose has room.
async fn wait(
    client: &mut Client,
    request: &RequestHead,
    context: &mut Context,
    limit: InFlightLimit,
) -> Option<Selected> {
    let metrics = context.pool().queue_metrics.clone();
    let Some(mut turn) = context.pool().queue().join(limit.queued) else {
        if let Some(metrics) = &metrics {
            metrics.full.inc();
        }
        return Some(Selected::Refused(Refused::Full));
    };
    let _counted = metrics.as_ref().map(|metrics| Counted::in_gauge(&metrics.queued));
    let end_of_wait = Instant::now() + limit.wait;
    let until = context.deadline().map_or(end_of_wait, |end| end.min(end_of_wait));
    context.has_waited = true;
    loop {
        // A place may have become free just before the request began to wait.
        context.renew_members();
        let has_room = |context: &Context| {
            let members = context.members.as_ref();
            members.is_some_and(|members| members.iter().any(|member| member.backend.has_room()))
        };
        if context.offered.is_some() || has_room(context) {
            match select_among(request, context, true) {
                Selected::Refused(Refused::Full) => {}
                selected => {
                    give_back(context, |place| turn.pass_on(place));
                    return Some(selected);
                }
            }
        }
        if context.offered.is_some() {
            give_back(context, |place| turn.decline(place));
            continue;
        }
        let asked = context.noted_time();
        let next = next(client, &mut turn, until).await;
        if let Some(asked) = asked {
            context.note(|noted| noted.queue += asked.elapsed());
        }
        match next {
            Next::Place(place) => context.offered = Some(place),
            Next::Gone => return None,
            Next::Late if context.is_late() => return Some(Selected::Refused(Refused::NoAnswerInTime)),
            Next::Late => {
                if let Some(metrics) = &metrics {
                    metrics.late.inc();
                }
                return Some(Selected::Refused(Refused::Full));
            }
        }
    }
}

fn give_back(context: &mut Context, to: impl FnOnce(InFlight)) {
    if let Some(place) = context.offered.take() {
        to(place);
    }
}

/// The end of a wait.
enum Next {
    /// A place at a backend is offered, which the plugins may not want.
    Place(InFlight),
    /// The client has left.
    Gone,
    /// The wait has taken too long.
    Late,
}

/// Waits for a place. A client that ends its side of the connection during the wait has left; one that had ended it before may only
/// have had a single request to send.
async fn next(client: &mut Client, turn: &mut Turn, until: Instant) -> Next {
    let mut had_ended = None;
    poll_fn(|task| {
        if let Poll::Ready(place) = turn.poll(task) {
            return Poll::Ready(Next::Place(place));
        }
        let is_reset = client.poll_gone(task).is_ready();
        let had_ended = *had_ended.get_or_insert(client.has_ended);
        if is_reset || client.has_ended != had_ended {
            return Poll::Ready(Next::Gone);
        }
        client.alarm.poll(until, task).map(|()| Next::Late)
    })
    .await
}
