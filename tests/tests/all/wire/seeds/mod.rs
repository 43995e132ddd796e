//! Valid messages, of every kind that has a framing or a handling of its own. Mutations begin with them.

mod requests;
mod responses;

pub(crate) use requests::{request, usual_request};
pub(crate) use responses::exchange;
