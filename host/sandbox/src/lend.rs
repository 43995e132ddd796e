//! How a hook's host functions reach the request, which lives on the stack of the caller.
//!
//! A wasmtime store owns its data for `'static`, a request is borrowed for the length of one call. So the
//! borrow's lifetime is erased for exactly that long. All of it is in this file.

use std::net::IpAddr;
use std::ptr::NonNull;

use pace_hook::{Call, Candidates, EditError, RequestAccess, RequestHead, ResponseHead, Stage};

/// What is lent to the instance at the moment; nothing, while no hook runs.
#[derive(Default)]
pub(super) struct Lending(Option<Lent>);

struct Lent {
    head: NonNull<dyn RequestHead>,
    editable: bool,
    client: IpAddr,
    scheme: &'static str,
    stage: LentStage,
}

enum LentStage {
    RequestFilter,
    SelectUpstream(NonNull<dyn Candidates>),
    ResponseFilter {
        response: NonNull<dyn ResponseHead>,
        backend: Option<NonNull<str>>,
    },
}

/// A host function was called in a hook that has nothing for it to speak of.
#[derive(Debug, thiserror::Error)]
#[error("{interface} was called {when}: {remedy}")]
pub(super) struct NotLent {
    interface: &'static str,
    when: &'static str,
    remedy: &'static str,
}

impl Lending {
    /// Lends what `call` borrows.
    ///
    /// # Safety
    ///
    /// The caller must call [`Lending::end`] before the borrows in `call` end, on every way out, unwinding
    /// included.
    pub(super) unsafe fn begin(&mut self, call: Call<'_>) {
        let (head, editable) = match call.request.head {
            RequestAccess::Edit(head) => (NonNull::from(head), true),
            RequestAccess::Read(head) => (NonNull::from(head), false),
        };
        let stage = match call.stage {
            Stage::RequestFilter => LentStage::RequestFilter,
            Stage::SelectUpstream { candidates, .. } => {
                // SAFETY: only the lifetime changes. See the last one below.
                LentStage::SelectUpstream(unsafe {
                    std::mem::transmute::<NonNull<dyn Candidates + '_>, NonNull<dyn Candidates>>(
                        NonNull::from(candidates),
                    )
                })
            }
            Stage::ResponseFilter { response, backend } => LentStage::ResponseFilter {
                // SAFETY: only the lifetime changes. See the last one below.
                response: unsafe {
                    std::mem::transmute::<NonNull<dyn ResponseHead + '_>, NonNull<dyn ResponseHead>>(
                        NonNull::from(response),
                    )
                },
                backend: backend.map(NonNull::from),
            },
        };
        // SAFETY: only the lifetime changes. A pointer is dereferenced by the methods below alone, and
        // only while `self.0` is `Some`, that is between `begin` and `end`, when by the contract of this
        // function the borrow it was made from is still alive. `Call` held that borrow and was moved in
        // here, so nobody else uses a mutable one meanwhile, and the methods give out references bound to
        // a borrow of `self`: shared ones from `&self`, a mutable one from `&mut self`, one at a time.
        let head =
            unsafe { std::mem::transmute::<NonNull<dyn RequestHead + '_>, NonNull<dyn RequestHead>>(head) };
        self.0 = Some(Lent {
            head,
            editable,
            client: call.request.client,
            scheme: call.request.scheme,
            stage,
        });
    }

    /// Takes back what was lent.
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
        self.lent("request")?;
        let lent = self.0.as_mut().expect("`lent` has seen it");
        if !lent.editable {
            return Ok(Err(EditError::ReadOnly));
        }
        // SAFETY: see `begin`; `editable` says that the pointer was made from a mutable reference.
        Ok(Ok(unsafe { lent.head.as_mut() }))
    }

    /// Who asks.
    pub(super) fn client(&self) -> Result<IpAddr, NotLent> {
        Ok(self.lent("the client's address")?.client)
    }

    /// `http` or `https`.
    pub(super) fn scheme(&self) -> Result<&'static str, NotLent> {
        Ok(self.lent("request")?.scheme)
    }

    /// The backends to choose from.
    pub(super) fn candidates(&self) -> Result<&dyn Candidates, NotLent> {
        match &self.lent("upstreams")?.stage {
            // SAFETY: see `begin`.
            LentStage::SelectUpstream(candidates) => Ok(unsafe { candidates.as_ref() }),
            LentStage::RequestFilter | LentStage::ResponseFilter { .. } => Err(NotLent {
                interface: "upstreams",
                when: "outside select-upstream",
                remedy: "backends can be looked at in that hook only",
            }),
        }
    }

    /// The response.
    pub(super) fn response(&self) -> Result<&dyn ResponseHead, NotLent> {
        match &self.lent("response")?.stage {
            // SAFETY: see `begin`.
            LentStage::ResponseFilter { response, .. } => Ok(unsafe { response.as_ref() }),
            LentStage::RequestFilter | LentStage::SelectUpstream(_) => Err(NO_RESPONSE),
        }
    }

    /// The response for editing.
    pub(super) fn response_mut(&mut self) -> Result<&mut dyn ResponseHead, NotLent> {
        self.lent("response")?;
        match &mut self.0.as_mut().expect("`lent` has seen it").stage {
            // SAFETY: see `begin`; it was made from a mutable reference.
            LentStage::ResponseFilter { response, .. } => Ok(unsafe { response.as_mut() }),
            LentStage::RequestFilter | LentStage::SelectUpstream(_) => Err(NO_RESPONSE),
        }
    }

    /// Who answered.
    pub(super) fn backend(&self) -> Result<Option<&str>, NotLent> {
        match &self.lent("response")?.stage {
            LentStage::ResponseFilter { backend: None, .. } => Ok(None),
            LentStage::ResponseFilter {
                backend: Some(backend),
                ..
            } => {
                // SAFETY: see `begin`.
                Ok(Some(unsafe { backend.as_ref() }))
            }
            LentStage::RequestFilter | LentStage::SelectUpstream(_) => Err(NO_RESPONSE),
        }
    }

    fn lent(&self, interface: &'static str) -> Result<&Lent, NotLent> {
        self.0.as_ref().ok_or(NotLent {
            interface,
            when: "outside a hook",
            remedy: "there is no request while an instance starts and while it is configured",
        })
    }
}

const NO_RESPONSE: NotLent = NotLent {
    interface: "response",
    when: "before there is a response",
    remedy: "responses can be looked at in response-filter only",
};
