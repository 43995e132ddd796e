//! Makes the exports of stream filters.

use std::cell::RefCell;

use super::Instance;
use crate::bindings::imports::pace::plugin::outcome::Ending as GuestEnding;
use crate::bindings::imports::pace::plugin::streams::{Access, Framing, Step as GuestStep};
use crate::{
    Content, Ending, Opening, Request, RequestStreamFilter, Response, ResponseStreamFilter, Step, Unit,
};

/// The state of one message; taken out when it ends.
#[derive(Debug)]
pub struct Held<M>(RefCell<Option<M>>);

/// The parts of an opening, with its state ready for [`Held`].
pub type Parts<M> = (Held<M>, Framing, Access, Vec<Vec<u8>>);

impl<M> Held<M> {
    fn of(opening: Opening<M>) -> Parts<M> {
        let (message, framing, access, interest) = opening.into_parts();
        (Held(RefCell::new(Some(message))), framing, access, interest)
    }

    /// Calls `next`. A message is never entered a second time while it runs, and not after its end.
    fn with(&self, next: impl FnOnce(&mut M) -> Step) -> GuestStep {
        let mut message = self.0.borrow_mut();
        next(message.as_mut().expect("Pace shows no unit after the end")).into()
    }

    fn take(&self) -> M {
        self.0.take().expect("Pace ends a message once")
    }
}

/// Implements `request-stream-filter.open`.
pub fn open_request<P: RequestStreamFilter>(instance: &Instance<P>) -> Option<Parts<P::Message>> {
    instance.with(|plugin| RequestStreamFilter::open(plugin, &Request::ambient()).map(Held::of))
}

/// Implements `next` of a message of `request-stream-filter`.
pub fn next_of_request<P: RequestStreamFilter>(
    instance: &Instance<P>,
    message: &Held<P::Message>,
) -> GuestStep {
    instance.with(|plugin| {
        message.with(|message| {
            RequestStreamFilter::next(plugin, message, &Request::ambient(), &mut Unit::ambient())
        })
    })
}

/// Implements `end` of a message of `request-stream-filter`.
pub fn end_of_request<P: RequestStreamFilter>(
    instance: &Instance<P>,
    message: &Held<P::Message>,
    how: GuestEnding,
) {
    let (how, mut last) = (Ending::from(how), Content::ambient());
    instance.with(|plugin| {
        RequestStreamFilter::end(plugin, message.take(), &Request::ambient(), how, &mut last);
    });
}

/// Implements `response-stream-filter.open`.
pub fn open_response<P: ResponseStreamFilter>(instance: &Instance<P>) -> Option<Parts<P::Message>> {
    let (request, response) = (Request::ambient(), Response::ambient());
    instance.with(|plugin| ResponseStreamFilter::open(plugin, &request, &response).map(Held::of))
}

/// Implements `next` of a message of `response-stream-filter`.
pub fn next_of_response<P: ResponseStreamFilter>(
    instance: &Instance<P>,
    message: &Held<P::Message>,
) -> GuestStep {
    instance.with(|plugin| {
        message.with(|message| {
            ResponseStreamFilter::next(plugin, message, &Request::ambient(), &mut Unit::ambient())
        })
    })
}

/// Implements `end` of a message of `response-stream-filter`.
pub fn end_of_response<P: ResponseStreamFilter>(
    instance: &Instance<P>,
    message: &Held<P::Message>,
    how: GuestEnding,
) {
    let (how, mut last) = (Ending::from(how), Content::ambient());
    instance.with(|plugin| {
        ResponseStreamFilter::end(plugin, message.take(), &Request::ambient(), how, &mut last);
    });
}
