//! Takes a response back through the hooks of the plugins of a route, and tells them the end.

use http::StatusCode;

use super::body::{has_body, put_response};
use super::course::{Answer, Course, NoResponse};
use super::end::{Attempt, End};
use super::exchange::Word;
use super::message::Response;
use super::route::Failed;
use super::session::Session;
use super::stream::pass_response;
use pace_content::body::Access;
use pace_hook::{Body, Ending, Failure, Hook, Reply, Verdict};

/// A response that the filters have in hand.
struct Reviewed<'s> {
    response: Response,
    /// The address of the backend that it is from; `None` if a plugin made it.
    sender: Option<String>,
    /// The plugin that made it.
    author: Option<&'s Session>,
}

impl Reviewed<'_> {
    /// Whether a plugin has yet to see it. A replacement is seen by those before the plugin that made it, as it is not their own.
    fn is_news_to(&self, plugin: &Session, replaced_at: Option<u32>) -> bool {
        replaced_at.is_none_or(|place| plugin.place < place)
    }
}

impl<'s> Course<'s> {
    /// Has a response pass the filters, and tells the plugins the end.
    pub(super) fn finish(&mut self, answer: Answer<'s>, end: &End) -> Result<(), NoResponse<'s>> {
        let (response, mut ending) = match answer {
            Answer::Backend(response) => (Some(self.respond(response, None)?), Ending::Complete),
            Answer::Plugin(author, response) => {
                self.replies(author);
                (Some(self.respond(response, Some(author))?), Ending::Complete)
            }
            Answer::Pace(status, ending) => (Some((Response::new(status), None)), ending),
            Answer::Nobody => (None, Ending::ClientGone),
        };
        if let Some(passage) = &self.outcome.response_passage
            && passage.ending != Ending::Complete
        {
            ending = passage.ending;
        }
        let (response, sender) = match response {
            Some((response, sender)) => (Some(response), sender),
            None => (None, None),
        };
        // One that a plugin has answered instead was not made.
        let mut made = self.outcome.attempts.iter().rev();
        let made = made.find_map(|made| {
            Some(Attempt {
                number: made.number,
                backend: made.backend.as_deref()?,
                pool: made.trial.as_ref().map_or(&self.pool.name, |trial| &trial.pool),
                failure: made.failure,
            })
        });
        let status = response.as_ref().map(|response| response.status.as_u16());
        let told = end.outcome(status, made, ending);
        let head = response.as_ref().map(|response| (response, sender.as_deref()));
        let mut is_told = false;
        for plugin in self.having(Hook::Finished) {
            plugin
                .finished(&self.outcome.request, head, &told)
                .map_err(Failed::of(plugin, Hook::Finished))?;
            is_told |= self.is_tested(plugin);
        }
        if is_told {
            self.outcome.hook.get_or_insert(Hook::Finished);
        }
        self.outcome.response = response;
        Ok(())
    }

    fn replies(&mut self, author: &Session) {
        if self.is_tested(author) {
            self.outcome.word = Word::Respond;
        }
    }

    /// Has a response pass the filters. Returns it, and the backend that it is from.
    fn respond(
        &mut self,
        response: Response,
        author: Option<&'s Session>,
    ) -> Result<(Response, Option<String>), NoResponse<'s>> {
        let sender = self.outcome.attempts.last().and_then(|made| made.backend.clone());
        let mut reviewed = Reviewed {
            response,
            sender: sender.filter(|_| author.is_none()),
            author,
        };
        let mut replaced_at = None;
        while let Some((by, reply)) = self.review(&mut reviewed, replaced_at)? {
            self.replies(by);
            replaced_at = Some(by.place);
            reviewed = Reviewed {
                response: by.dated(reply),
                sender: None,
                author: Some(by),
            };
        }
        let mut filters = self.having(Hook::ResponseStreamFilter);
        filters.retain(|plugin| reviewed.is_news_to(plugin, replaced_at));
        let decided = self.outcome.hook;
        for plugin in &filters {
            self.calls(plugin, Hook::ResponseStreamFilter);
        }
        let is_asked = filters.iter().any(|plugin| self.is_tested(plugin));
        let Reviewed {
            mut response,
            sender,
            author,
        } = reviewed;
        let passage = pass_response(&filters, &self.outcome.request, &mut response, sender.as_deref())?;
        if is_asked {
            self.accepts(author, decided);
        }
        let is_broken_off = passage.ending == Ending::Cut && response.arrival.ending != Ending::Cut;
        let is_unbegun = passage.is_unbegun;
        self.outcome.response_passage = Some(passage);
        match is_broken_off && is_unbegun {
            true => Ok((Response::new(StatusCode::BAD_GATEWAY), None)),
            false => Ok((response, sender)),
        }
    }

    /// Shows a response to the filters of its head, and then to those of its body, until one replaces it.
    fn review(
        &mut self,
        of: &mut Reviewed<'s>,
        replaced_at: Option<u32>,
    ) -> Result<Option<(&'s Session, Reply)>, NoResponse<'s>> {
        let mut filters = self.having(Hook::ResponseFilter);
        filters.retain(|plugin| of.is_news_to(plugin, replaced_at));
        for plugin in filters {
            let decided = self.outcome.hook;
            self.calls(plugin, Hook::ResponseFilter);
            let sender = of.sender.as_deref();
            let verdict = plugin.response_filter(&self.outcome.request, &mut of.response, sender);
            match verdict.map_err(Failed::of(plugin, Hook::ResponseFilter))? {
                Verdict::Next if self.is_tested(plugin) => self.accepts(of.author, decided),
                Verdict::Next => {}
                Verdict::Respond(reply) => return Ok(Some((plugin, reply))),
            }
        }

        let mut wanting = self.having(Hook::ResponseBodyFilter);
        wanting.retain(|plugin| of.is_news_to(plugin, replaced_at) && !plugin.has_skipped(Body::Response));
        let Some(first) = wanting.first() else {
            return Ok(None);
        };
        let access = match has_body(&self.outcome.request, &of.response) {
            true => Access::Edit,
            false => Access::Nothing,
        };
        let body = of.response.body.clone().unwrap_or_default();
        let most = wanting.iter().map(|plugin| plugin.limits().0).max().unwrap_or(0);
        let mut content = first
            .content(&of.response.headers, &body, most)
            .map_err(Failed::of(first, Hook::ResponseBodyFilter))?;
        for plugin in wanting {
            let decided = self.outcome.hook;
            self.calls(plugin, Hook::ResponseBodyFilter);
            let failed = Failed::of(plugin, Hook::ResponseBodyFilter);
            let limit = plugin.limits().0;
            if !content.fits(limit) {
                return Err(failed(Failure::body_too_large(limit as usize)).into());
            }
            content.allow(access, limit);
            let sender = of.sender.as_deref();
            let verdict = plugin.show_response(&self.outcome.request, &mut of.response, sender, &mut content);
            match verdict.map_err(failed)? {
                Verdict::Next if self.is_tested(plugin) => self.accepts(of.author, decided),
                Verdict::Next => {}
                Verdict::Respond(reply) => return Ok(Some((plugin, reply))),
            }
        }
        put_response(&mut of.response, content);
        // A body that was collected goes on as one piece.
        of.response.arrival.pieces = None;
        Ok(None)
    }

    /// Takes note that a filter of the plugin under test lets a response pass. The plugin's own reply stays its last word.
    fn accepts(&mut self, author: Option<&Session>, decided: Option<Hook>) {
        match author.is_some_and(|author| self.is_tested(author)) {
            true => self.outcome.hook = decided,
            false => self.outcome.word = Word::Next,
        }
    }
}
