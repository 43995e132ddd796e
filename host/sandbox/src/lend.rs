//! Lending: a hook's host functions reach the request, which lives on the stack of the caller.
//!
//! A wasmtime store owns its data for `'static`, and a request is borrowed for the length of one call. So the borrow's
//! lifetime is erased for exactly that long. All code that does so is in this file.

use std::net::IpAddr;
use std::ptr::NonNull;

use pace_content::body::Content;
use pace_content::frames::EventFields;
use pace_hook::{
    Attempt, AttemptAccess, Candidates, EditError, Heads, Outcome, RequestAccess, RequestFacts, RequestHead,
    RequestScope, ResponseAccess, ResponseHead,
};

/// The borrows of one call of a hook: the request, and everything else that this hook can see.
pub(super) struct Call<'r, 'a> {
    pub(super) request: RequestScope<'r>,
    pub(super) candidates: Option<&'a dyn Candidates>,
    pub(super) attempt: Option<AttemptAccess<'a>>,
    pub(super) response: Option<Response<'a>>,
    pub(super) outcome: Option<&'a Outcome<'a>>,
    pub(super) content: Option<&'a mut Content>,
    /// The unit that a stream filter is shown, which has fields if it is an event.
    pub(super) unit: Option<Option<&'a mut EventFields>>,
}

/// The response's head, and the backend that answered; `None` if a plugin did.
pub(super) struct Response<'a> {
    pub(super) head: ResponseAccess<'a>,
    pub(super) backend: Option<&'a str>,
}

impl<'a> Response<'a> {
    /// A response that cannot be changed any more.
    pub(super) fn read((head, backend): (&'a dyn ResponseHead, Option<&'a str>)) -> Response<'a> {
        Response {
            head: ResponseAccess::Read(head),
            backend,
        }
    }
}

impl<'r> Call<'r, '_> {
    /// The call of a hook that sees the request and nothing else.
    pub(super) fn of(request: RequestScope<'r>) -> Self {
        Call {
            request,
            candidates: None,
            attempt: None,
            response: None,
            outcome: None,
            content: None,
            unit: None,
        }
    }
}

impl<'r: 'a, 'a> Call<'r, 'a> {
    /// The call of a stream filter, which sees heads that cannot be changed any more.
    pub(super) fn of_stream(heads: Heads<'r>, content: Option<&'a mut Content>) -> Self {
        Call {
            content,
            response: heads.response.map(Response::read),
            ..Call::of(heads.scope())
        }
    }
}

/// The borrows that are lent to an instance at the moment; none while no hook runs.
#[derive(Default)]
pub(super) struct Lending(Option<Lent>);

// SAFETY: the pointers are there between `begin` and `end` only, which one function calls with the instance borrowed all the
// time (`Instance::run`), so an instance that moves to another thread has none.
unsafe impl Send for Lending {}

struct Lent {
    head: NonNull<dyn RequestHead>,
    editable: bool,
    facts: NonNull<RequestFacts<'static>>,
    candidates: Option<NonNull<dyn Candidates>>,
    attempt: Option<LentAttempt>,
    response: Option<LentResponse>,
    outcome: Option<NonNull<Outcome<'static>>>,
    content: Option<NonNull<Content>>,
    unit: Option<Option<NonNull<EventFields>>>,
}

struct LentAttempt {
    attempt: NonNull<dyn Attempt>,
    editable: bool,
}

struct LentResponse {
    head: NonNull<dyn ResponseHead>,
    editable: bool,
    backend: Option<NonNull<str>>,
}

/// Error: a host function was called in a hook, or outside of one, where its subject does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{interface} was called {when}: {remedy}")]
pub(super) struct NotLent {
    interface: &'static str,
    when: &'static str,
    remedy: &'static str,
}

impl Lending {
    /// Lends the borrows of `call`.
    ///
    /// # Safety
    ///
    /// The caller must call [`Lending::end`] before the borrows in `call` end, on every way out, unwinding
    /// included.
    pub(super) unsafe fn begin(&mut self, call: Call<'_, '_>) {
        let (head, editable) = match call.request.head {
            RequestAccess::Edit(head) => (NonNull::from(head), true),
            RequestAccess::Read(head) => (NonNull::from(head), false),
        };
        let candidates = call.candidates.map(|candidates| {
            // SAFETY: only the lifetime changes. See the last one below.
            unsafe {
                std::mem::transmute::<NonNull<dyn Candidates + '_>, NonNull<dyn Candidates>>(NonNull::from(
                    candidates,
                ))
            }
        });
        let attempt = call.attempt.map(|attempt| {
            let (attempt, editable) = match attempt {
                AttemptAccess::Edit(attempt) => (NonNull::from(attempt), true),
                AttemptAccess::Read(attempt) => (NonNull::from(attempt), false),
            };
            LentAttempt {
                // SAFETY: only the lifetime changes. See the last one below.
                attempt: unsafe {
                    std::mem::transmute::<NonNull<dyn Attempt + '_>, NonNull<dyn Attempt>>(attempt)
                },
                editable,
            }
        });
        let response = call.response.map(|response| {
            let (head, editable) = match response.head {
                ResponseAccess::Edit(head) => (NonNull::from(head), true),
                ResponseAccess::Read(head) => (NonNull::from(head), false),
            };
            LentResponse {
                // SAFETY: only the lifetime changes. See the last one below.
                head: unsafe {
                    std::mem::transmute::<NonNull<dyn ResponseHead + '_>, NonNull<dyn ResponseHead>>(head)
                },
                editable,
                backend: response.backend.map(NonNull::from),
            }
        });
        let outcome = call.outcome.map(|outcome| {
            // SAFETY: only the lifetime changes. See the last one below.
            unsafe {
                std::mem::transmute::<NonNull<Outcome<'_>>, NonNull<Outcome<'static>>>(NonNull::from(outcome))
            }
        });
        // SAFETY: only the lifetime changes. A pointer is dereferenced by the methods below alone, and
        // only while `self.0` is `Some`, that is between `begin` and `end`, when by the contract of this
        // function the borrow it was made from is still alive. `Call` held that borrow and was moved in
        // here, so nothing else uses a mutable one meanwhile, and the methods give out references bound to
        // a borrow of `self`: shared ones from `&self`, a mutable one from `&mut self`, one at a time.
        let head =
            unsafe { std::mem::transmute::<NonNull<dyn RequestHead + '_>, NonNull<dyn RequestHead>>(head) };
        // SAFETY: as above.
        let facts = unsafe {
            std::mem::transmute::<NonNull<RequestFacts<'_>>, NonNull<RequestFacts<'static>>>(NonNull::from(
                call.request.facts,
            ))
        };
        self.0 = Some(Lent {
            head,
            editable,
            facts,
            candidates,
            attempt,
            response,
            outcome,
            content: call.content.map(NonNull::from),
            unit: call.unit.map(|event| event.map(NonNull::from)),
        });
    }

    /// Takes back everything that was lent.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// The request.
    pub(super) fn request(&self) -> Result<&dyn RequestHead, NotLent> {
        let lent = self.lent("request")?;
        // SAFETY: see `begin`.
        Ok(unsafe { lent.head.as_ref() })
    }

    /// The request for editing.
    pub(super) fn request_mut(&mut self) -> Result<Result<&mut dyn RequestHead, EditError>, NotLent> {
        let lent = self.lent_mut("request")?;
        if !lent.editable {
            return Ok(Err(EditError::ReadOnly));
        }
        // SAFETY: see `begin`; `editable` says that the pointer was made from a mutable reference.
        Ok(Ok(unsafe { lent.head.as_mut() }))
    }

    /// The address of the client.
    pub(super) fn client(&self) -> Result<IpAddr, NotLent> {
        let lent = self.lent("the client's address")?;
        // SAFETY: see `begin`.
        Ok(unsafe { lent.facts.as_ref() }.client)
    }

    /// The facts that the request's head does not tell.
    pub(super) fn facts(&self) -> Result<&RequestFacts<'_>, NotLent> {
        let lent = self.lent("request")?;
        // SAFETY: see `begin`.
        Ok(unsafe { lent.facts.as_ref() })
    }

    /// Whether the hook may edit the head of the request, and has no content.
    pub(super) fn edits_request_head(&self) -> bool {
        let lent = self.0.as_ref();
        lent.is_some_and(|lent| lent.editable && lent.content.is_none())
    }

    /// Whether the hook may edit the head of the response, and has no content.
    pub(super) fn edits_response_head(&self) -> bool {
        let lent = self.0.as_ref().filter(|lent| lent.content.is_none());
        let response = lent.and_then(|lent| lent.response.as_ref());
        response.is_some_and(|response| response.editable)
    }

    /// The backends to choose from.
    pub(super) fn candidates(&self) -> Result<&dyn Candidates, NotLent> {
        match &self.lent("upstreams")?.candidates {
            // SAFETY: see `begin`.
            Some(candidates) => Ok(unsafe { candidates.as_ref() }),
            None => Err(NotLent {
                interface: "upstreams",
                when: "outside select-upstream",
                remedy: "backends can be looked at in that hook only",
            }),
        }
    }

    /// The attempt.
    pub(super) fn attempt(&self) -> Result<&dyn Attempt, NotLent> {
        match &self.lent("attempt")?.attempt {
            // SAFETY: see `begin`.
            Some(lent) => Ok(unsafe { lent.attempt.as_ref() }),
            None => Err(NO_ATTEMPT),
        }
    }

    /// The attempt for editing.
    pub(super) fn attempt_mut(&mut self) -> Result<Result<&mut dyn Attempt, EditError>, NotLent> {
        match &mut self.lent_mut("attempt")?.attempt {
            Some(lent) if !lent.editable => Ok(Err(EditError::ReadOnly)),
            // SAFETY: see `begin`; `editable` says that the pointer was made from a mutable reference.
            Some(lent) => Ok(Ok(unsafe { lent.attempt.as_mut() })),
            None => Err(NO_ATTEMPT),
        }
    }

    /// The response.
    pub(super) fn response(&self) -> Result<&dyn ResponseHead, NotLent> {
        match &self.lent("response")?.response {
            // SAFETY: see `begin`.
            Some(response) => Ok(unsafe { response.head.as_ref() }),
            None => Err(NO_RESPONSE),
        }
    }

    /// The response for editing.
    pub(super) fn response_mut(&mut self) -> Result<Result<&mut dyn ResponseHead, EditError>, NotLent> {
        match &mut self.lent_mut("response")?.response {
            Some(response) if !response.editable => Ok(Err(EditError::ReadOnly)),
            // SAFETY: see `begin`; `editable` says that the pointer was made from a mutable reference.
            Some(response) => Ok(Ok(unsafe { response.head.as_mut() })),
            None => Err(NO_RESPONSE),
        }
    }

    /// The outcome of the request.
    pub(super) fn outcome(&self) -> Result<&Outcome<'_>, NotLent> {
        match &self.lent("outcome")?.outcome {
            // SAFETY: see `begin`.
            Some(outcome) => Ok(unsafe { outcome.as_ref() }),
            None => Err(NotLent {
                interface: "outcome",
                when: "before the request was over",
                remedy: "it can be looked at in finished only",
            }),
        }
    }

    /// The backend that answered.
    pub(super) fn backend(&self) -> Result<Option<&str>, NotLent> {
        match &self.lent("response")?.response {
            // SAFETY: see `begin`.
            Some(response) => Ok(response
                .backend
                .as_ref()
                .map(|backend| unsafe { backend.as_ref() })),
            None => Err(NO_RESPONSE),
        }
    }

    /// The bytes for which the hook runs.
    pub(super) fn content(&self) -> Result<&Content, NotLent> {
        match &self.lent("content")?.content {
            // SAFETY: see `begin`.
            Some(content) => Ok(unsafe { content.as_ref() }),
            None => Err(NO_CONTENT),
        }
    }

    /// The bytes for which the hook runs, for editing and for parsing.
    pub(super) fn content_mut(&mut self) -> Result<&mut Content, NotLent> {
        match &mut self.lent_mut("content")?.content {
            // SAFETY: see `begin`; the pointer was made from a mutable reference.
            Some(content) => Ok(unsafe { content.as_mut() }),
            None => Err(NO_CONTENT),
        }
    }

    /// The fields of the event that the unit is, if it is one.
    pub(super) fn event(&self) -> Result<Option<&EventFields>, NotLent> {
        match &self.lent("streams")?.unit {
            // SAFETY: see `begin`.
            Some(event) => Ok(event.as_ref().map(|event| unsafe { event.as_ref() })),
            None => Err(NO_UNIT),
        }
    }

    /// The fields of the event for editing.
    pub(super) fn event_mut(&mut self) -> Result<Option<&mut EventFields>, NotLent> {
        match &mut self.lent_mut("streams")?.unit {
            // SAFETY: see `begin`; the pointer was made from a mutable reference.
            Some(event) => Ok(event.as_mut().map(|event| unsafe { event.as_mut() })),
            None => Err(NO_UNIT),
        }
    }

    fn lent(&self, interface: &'static str) -> Result<&Lent, NotLent> {
        self.0.as_ref().ok_or(outside_hooks(interface))
    }

    fn lent_mut(&mut self, interface: &'static str) -> Result<&mut Lent, NotLent> {
        self.0.as_mut().ok_or(outside_hooks(interface))
    }
}

fn outside_hooks(interface: &'static str) -> NotLent {
    NotLent {
        interface,
        when: "outside a hook",
        remedy: "there is no request while an instance starts and while it is configured",
    }
}

const NO_RESPONSE: NotLent = NotLent {
    interface: "response",
    when: "where there is no response",
    remedy: "responses can be looked at in response-filter and what follows it, in attempt-filter.judge if the attempt has \
             brought one, and in finished if one was sent",
};

const NO_ATTEMPT: NotLent = NotLent {
    interface: "attempt",
    when: "outside attempt-filter",
    remedy: "attempts can be looked at in that hook only",
};

const NO_CONTENT: NotLent = NotLent {
    interface: "content",
    when: "in a hook that runs for no bytes",
    remedy: "it can be called where a body or a unit of a stream is looked at",
};

const NO_UNIT: NotLent = NotLent {
    interface: "streams",
    when: "where there is no unit of a message",
    remedy: "it can be called in `next` of a stream filter only",
};
