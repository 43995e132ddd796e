//! Makes the attempts of a request, as the plugins of a route prepare, direct and judge them.

use http::StatusCode;

use super::attempt::Trial;
use super::course::{Answer, Course, NoResponse};
use super::exchange::{Brought, Judged, Made, Word};
use super::route::Failed;
use super::session::Session;
use super::stream::{Opened, pass_request};
use pace_hook::{AttemptFailure, Body, Ending, Hook, Judgement, Selection, Verdict};

/// The result of an attempt.
pub(super) enum Attempted<'s> {
    Answer(Answer<'s>),
    /// It is to be followed by another, because of a failure or because the plugin wants it.
    Unwanted(AttemptFailure, Option<&'s Session>),
}

/// The body of a request that has not been sent yet.
pub(super) struct Upload<'s> {
    /// `None` once it is on its way.
    pub(super) waiting: Option<Opened<'s>>,
    /// Whether it passes stream filters.
    pub(super) is_filtered: bool,
}

impl<'s> Course<'s> {
    /// Makes one attempt. The body of the request passes its filters on the first that comes to a backend; the others send what they
    /// have made of it.
    pub(super) fn attempt(
        &mut self,
        brought: Brought,
        upload: &mut Upload<'s>,
        can_retry: bool,
    ) -> Result<Attempted<'s>, NoResponse<'s>> {
        let mut trial = None;
        let filters = self.having(Hook::AttemptFilter);
        if !filters.is_empty() {
            let (prepared, answer) = self.prepared(&filters, upload.is_filtered, can_retry)?;
            if let Some(answer) = answer {
                return Ok(Attempted::Answer(answer));
            }
            trial = Some(prepared);
        }
        match self.select() {
            Ok(None) => {}
            decided => {
                self.made(trial, None, None);
                return decided?.map(Attempted::Answer).ok_or(NoResponse::Open);
            }
        }
        let index = self.backend();
        let address = self.pool.backends[index as usize].address.clone();
        self.pool.backends[index as usize].tried = true;
        self.pool.last_failed = Some(index);

        if let Some(first) = upload.waiting.take() {
            if first.is_of(self.tested) {
                self.outcome.hook = Some(Hook::RequestStreamFilter);
            }
            let request = &mut self.outcome.request;
            let passage = pass_request(first, request)?;
            if let Some(trial) = trial.as_mut().filter(|_| upload.is_filtered) {
                trial.request.body = request.body.clone();
            }
            let is_broken_off = passage.ending == Ending::Cut && request.arrival.ending != Ending::Cut;
            let has_client_gone = passage.ending == Ending::ClientGone;
            self.outcome.request_passage = Some(passage);
            if is_broken_off || has_client_gone {
                self.made(trial, Some(address), None);
                return Ok(Attempted::Answer(match has_client_gone {
                    true => Answer::Nobody,
                    false => Answer::Pace(StatusCode::SERVICE_UNAVAILABLE, Ending::Cut),
                }));
            }
        }
        self.tested.advance(brought.after);
        self.judged(trial, address, brought, can_retry)
    }

    /// Has the plugins prepare an attempt in order, until one answers.
    fn prepared(
        &mut self,
        filters: &[&'s Session],
        body_passes: bool,
        can_retry: bool,
    ) -> Result<(Trial, Option<Answer<'s>>), NoResponse<'s>> {
        let mut collecting = self.tested.route();
        let mut trial = self.tested.trial(&self.outcome.request);
        trial.failure = self.pool.last_failure;
        trial.can_retry = can_retry;
        trial.body_passes = body_passes;
        trial.is_collected = collecting.any(|plugin| plugin.wants_body(Body::Request));
        for plugin in filters {
            self.calls(plugin, Hook::AttemptFilter);
            let verdict = plugin.prepare(&self.outcome.request, &mut trial, self.number);
            match verdict.map_err(Failed::of(plugin, Hook::AttemptFilter)) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(reply)) => {
                    self.made(Some(trial.clone()), None, None);
                    return Ok((trial, Some(self.replied(plugin, reply))));
                }
                Err(failed) => {
                    self.made(Some(trial), None, None);
                    return Err(failed.into());
                }
            }
        }
        Ok((trial, None))
    }

    /// Has the plugins choose a backend, until one picks or answers. If none does although one was asked, the exchange ends.
    fn select(&mut self) -> Result<Option<Answer<'s>>, NoResponse<'s>> {
        let balancers = self.having(Hook::SelectUpstream);
        for plugin in &balancers {
            self.calls(plugin, Hook::SelectUpstream);
            let selection = plugin.select_upstream(&self.outcome.request, &self.pool, self.number);
            match selection.map_err(Failed::of(plugin, Hook::SelectUpstream))? {
                Selection::Pick(index) => {
                    self.picked = Some(index);
                    if self.is_tested(plugin) {
                        self.outcome.word = Word::Pick;
                        self.outcome.picked = Some(index);
                    }
                    return Ok(None);
                }
                Selection::Respond(reply) => return Ok(Some(self.replied(plugin, reply))),
                Selection::Pass if self.is_tested(plugin) => self.outcome.word = Word::Pass,
                Selection::Pass => {}
            }
        }
        match balancers.is_empty() {
            true => Ok(None),
            false => Err(NoResponse::Open),
        }
    }

    /// Has the plugins judge what an attempt has brought, in reverse order until one does not accept it.
    fn judged(
        &mut self,
        trial: Option<Trial>,
        address: String,
        brought: Brought,
        can_retry: bool,
    ) -> Result<Attempted<'s>, NoResponse<'s>> {
        let Some(mut trial) = trial else {
            self.made(None, Some(address), None).failure = brought.result.as_ref().err().copied();
            return Ok(match brought.result {
                Ok(response) => Attempted::Answer(Answer::Backend(response)),
                Err(failure) => Attempted::Unwanted(failure, None),
            });
        };
        trial.backend = Some(address.clone());
        trial.elapsed = brought.after;
        trial.failure = brought.result.as_ref().err().copied();
        // The word of the plugin under test on the request is that of another hook, unless this one has an objection.
        let decided = self.outcome.hook;
        let mut told = None;
        let mut judgement = Ok(Judgement::Accept);
        let mut judge = self.tested;
        for plugin in self.having(Hook::AttemptFilter).into_iter().rev() {
            self.calls(plugin, Hook::AttemptFilter);
            let response = brought.result.as_ref().ok();
            let response = response.map(|response| (response, Some(address.as_str())));
            let said = plugin.judge(&self.outcome.request, &trial, response, self.number);
            if self.is_tested(plugin) {
                told = match &said {
                    Ok(Judgement::Accept) => Some(Judged::Accept),
                    Ok(Judgement::Retry) => Some(Judged::Retry),
                    Ok(Judgement::Respond(_)) => Some(Judged::Respond),
                    Err(_) => None,
                };
            }
            if !matches!(said, Ok(Judgement::Accept)) {
                judge = plugin;
                judgement = said;
                break;
            }
        }
        self.made(Some(trial), Some(address), told).failure = brought.result.as_ref().err().copied();
        let judgement = judgement.map_err(Failed::of(judge, Hook::AttemptFilter))?;
        Ok(match (judgement, brought.result) {
            (Judgement::Respond(reply), _) => Attempted::Answer(self.replied(judge, reply)),
            (Judgement::Retry, Ok(response)) if can_retry => {
                Attempted::Unwanted(AttemptFailure::Status(response.status.as_u16()), Some(judge))
            }
            (Judgement::Retry | Judgement::Accept, Ok(response)) => {
                self.outcome.hook = decided;
                Attempted::Answer(Answer::Backend(response))
            }
            (Judgement::Retry | Judgement::Accept, Err(failure)) => Attempted::Unwanted(failure, None),
        })
    }

    /// Adds an attempt to those that were made.
    fn made(&mut self, trial: Option<Trial>, backend: Option<String>, judged: Option<Judged>) -> &mut Made {
        self.outcome.attempts.push(Made {
            number: self.number,
            trial,
            backend,
            failure: None,
            judged,
        });
        self.outcome.attempts.last_mut().expect("it was pushed")
    }

    /// The backend of the present attempt: a plugin's pick, or else one where the request has not been.
    fn backend(&self) -> u32 {
        let untried = self.pool.backends.iter().position(|backend| !backend.tried);
        let others = || untried.and_then(|index| u32::try_from(index).ok());
        self.picked.or_else(others).unwrap_or(0)
    }
}
