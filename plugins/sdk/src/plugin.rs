//! The traits that a plugin implements, and the verdicts of its hooks.

use serde::de::DeserializeOwned;

use crate::{Attempt, Content, Outcome, Reply, Request, Response, Upstreams};

/// A plugin, and how it is made.
///
/// The hook traits, [`RequestFilter`], [`AttemptFilter`], [`SelectUpstream`], [`ResponseFilter`] and [`Finished`] among them, define its work, and
/// [`export!`](crate::export) names those of them that Pace calls.
///
/// ```
/// use pace_plugin::{Counter, NoConfig, Plugin};
///
/// struct Visitors {
///     seen: Counter,
/// }
///
/// impl Plugin for Visitors {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig) -> Result<Self, String> {
///         Ok(Visitors { seen: Counter::open("seen")? })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plugin yet: it does not say how it is configured",
    label = "this type needs `impl Plugin for {Self}`",
    note = "with nothing to configure: `type Config = NoConfig;` and `fn configure(_: NoConfig) -> Result<Self, String>`"
)]
pub trait Plugin: Sized + 'static {
    /// The plugin's `config` table in the operator's file.
    ///
    /// Derive `Deserialize` with `#[serde(deny_unknown_fields)]`, so that a key with a typing error is
    /// refused and not ignored. Use [`NoConfig`](crate::NoConfig) if there is nothing to configure.
    type Config: DeserializeOwned;

    /// Make the plugin.
    ///
    /// Called once in every instance, before any hook; Pace makes several instances, and all of them must
    /// come to the same result. Do work here that hooks need not repeat: parse, check, open counters and
    /// windows. There is no request yet.
    ///
    /// # Errors
    ///
    /// The operator reads the text, behind the plugin's name and file: name the key, and say which values are
    /// allowed. A configuration that does not fit [`Config`](Plugin::Config) is refused in the same way
    /// before this function is called, with the path of the key and Serde's reason.
    ///
    /// ```
    /// use pace_plugin::{Plugin, parse_config};
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Languages {
    ///     offered: Vec<String>,
    /// }
    ///
    /// impl Plugin for Languages {
    ///     type Config = Languages;
    ///
    ///     fn configure(config: Languages) -> Result<Self, String> {
    ///         match config.offered.is_empty() {
    ///             true => Err("offered: at least one language is needed".into()),
    ///             false => Ok(config),
    ///         }
    ///     }
    /// }
    ///
    /// let told = |json| parse_config(json).and_then(Languages::configure).unwrap_err();
    /// assert_eq!(told(r#"{"offered": []}"#), "offered: at least one language is needed");
    /// assert_eq!(told(r#"{"offered": [1]}"#), "offered[0]: invalid type: integer `1`, expected a string");
    /// ```
    fn configure(config: Self::Config) -> Result<Self, String>;
}

/// The hook that runs when the request's head has come, before anything is sent to a backend.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Reply, Request, RequestFilter, Verdict};
///
/// struct ReadOnly;
/// # impl Plugin for ReadOnly {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(ReadOnly) }
/// # }
///
/// impl RequestFilter for ReadOnly {
///     fn request_filter(&mut self, request: &mut Request) -> Verdict {
///         match request.method().as_str() {
///             "GET" | "HEAD" | "OPTIONS" => Verdict::Next,
///             _ => Reply::new(405).header("allow", "GET, HEAD, OPTIONS").into(),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `RequestFilter`",
    label = "`export!` names it for this type",
    note = "write `impl RequestFilter for {Self}` with `fn request_filter`, or leave the name out"
)]
pub trait RequestFilter: Plugin {
    /// Look at the request, change it, let it pass or answer it.
    ///
    /// Runs once per request, in the order of the route's plugins; the first that answers wins.
    ///
    /// ```
    /// # use pace_plugin::{NoConfig, Plugin, Reply, Request, RequestFilter, Verdict, error};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl RequestFilter for Mine {
    /// fn request_filter(&mut self, request: &mut Request) -> Verdict {
    ///     if let Err(refused) = request.set_header("x-checked", "yes") {
    ///         error!("x-checked: {refused}");
    ///         return Reply::new(500).into();
    ///     }
    ///     Verdict::Next
    /// }
    /// # }
    /// ```
    fn request_filter(&mut self, request: &mut Request) -> Verdict;
}

/// The hook that runs when the whole body of a request is there, before a backend is chosen.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Content, Json, Reply, Request, RequestBodyFilter, Verdict};
///
/// /// Sends requests for the large model to a pool of their own.
/// struct ByModel;
/// # impl Plugin for ByModel {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(ByModel) }
/// # }
///
/// impl RequestBodyFilter for ByModel {
///     fn request_body_filter(&mut self, request: &mut Request, body: &mut Content) -> Verdict {
///         match body.json("/model") {
///             Ok(Json::Text(model)) if model == "large" => match request.use_pool("large") {
///                 Ok(()) => Verdict::Next,
///                 Err(_) => Reply::new(500).into(),
///             },
///             Ok(Json::Text(_)) => Verdict::Next,
///             _ => Reply::new(400).body("model: expected a string\n").into(),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `RequestBodyFilter`",
    label = "`export!` names it for this type",
    note = "write `impl RequestBodyFilter for {Self}` with `fn request_body_filter`, or leave the name out"
)]
pub trait RequestBodyFilter: Plugin {
    /// Look at the body, change it, change the request's head, let both pass or answer.
    ///
    /// Runs once per request, in the order of the route's plugins, also for requests without a body, whose content is empty; a
    /// plugin that does not care says [`Request::skip_body`] in its [`RequestFilter`].
    ///
    /// ```
    /// # use pace_plugin::{Content, NoConfig, Plugin, Reply, Request, RequestBodyFilter, Verdict};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl RequestBodyFilter for Mine {
    /// fn request_body_filter(&mut self, request: &mut Request, body: &mut Content) -> Verdict {
    ///     match body.find("<!DOCTYPE", 0) {
    ///         Some(_) if request.path().starts_with("/xml/") => Reply::new(400).body("no document types\n").into(),
    ///         _ => Verdict::Next,
    ///     }
    /// }
    /// # }
    /// ```
    fn request_body_filter(&mut self, request: &mut Request, body: &mut Content) -> Verdict;
}

/// The hook around each attempt to get an answer from a backend.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Attempt, AttemptFilter, Judgement, Reply, Request, Response, Verdict};
///
/// /// Asks a second provider when the first has no room.
/// struct SecondChoice;
/// # impl Plugin for SecondChoice {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(SecondChoice) }
/// # }
///
/// impl AttemptFilter for SecondChoice {
///     fn prepare(&mut self, _: &Request, attempt: &mut Attempt) -> Verdict {
///         if attempt.number() > 1 && attempt.use_pool("second").is_err() {
///             return Reply::new(502).into();
///         }
///         Verdict::Next
///     }
///
///     fn judge(&mut self, _: &Request, attempt: &Attempt, response: Option<&Response>) -> Judgement {
///         match response.map(Response::status) {
///             Some(429) if attempt.number() == 1 => Judgement::Retry,
///             _ => Judgement::Accept,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `AttemptFilter`",
    label = "`export!` names it for this type",
    note = "write `impl AttemptFilter for {Self}` with `fn prepare` and `fn judge`, or leave the name out"
)]
pub trait AttemptFilter: Plugin {
    /// Change what this attempt sends and where it goes, let it be made, or answer.
    ///
    /// Runs once per attempt, before [`SelectUpstream`], in the order of the route's plugins; the first that answers wins. Every
    /// attempt begins with the same request.
    ///
    /// ```
    /// # use pace_plugin::{Attempt, AttemptFilter, Request, Verdict, error, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl AttemptFilter for Mine {
    /// fn prepare(&mut self, _: &Request, attempt: &mut Attempt) -> Verdict {
    ///     if let Err(refused) = attempt.set_header("x-attempt", attempt.number().to_string()) {
    ///         error!("x-attempt: {refused}");
    ///     }
    ///     Verdict::Next
    /// }
    /// # }
    /// ```
    fn prepare(&mut self, _request: &Request, _attempt: &mut Attempt) -> Verdict {
        Verdict::Next
    }

    /// Say what becomes of the attempt. Nothing has been sent to the client yet. `response` is what it has brought, `None` if it has
    /// failed ([`Attempt::failure`]).
    ///
    /// Runs once per attempt, in the reverse order of the route's plugins; the first that does not accept wins.
    ///
    /// ```
    /// # use pace_plugin::{Attempt, AttemptFilter, Judgement, Request, Response, NoConfig, Plugin};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl AttemptFilter for Mine {
    /// fn judge(&mut self, _: &Request, _: &Attempt, response: Option<&Response>) -> Judgement {
    ///     match response.map(Response::status) {
    ///         Some(429 | 503) => Judgement::Retry,
    ///         _ => Judgement::Accept,
    ///     }
    /// }
    /// # }
    /// ```
    fn judge(&mut self, _request: &Request, _attempt: &Attempt, _response: Option<&Response>) -> Judgement {
        Judgement::Accept
    }
}

/// The decision of [`AttemptFilter::judge`].
///
/// ```
/// use pace_plugin::{Judgement, Reply};
///
/// fn without_details(status: u16) -> Judgement {
///     match status {
///         500.. => Reply::new(502).into(),
///         _ => Judgement::Accept,
///     }
/// }
/// # assert_eq!(without_details(200), Judgement::Accept);
/// # assert_ne!(without_details(503), Judgement::Accept);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Do what the configuration says: send the response on, retry or answer.
    Accept,
    /// Try again, whatever the configuration says. If no further attempt can be made, this is [`Accept`](Judgement::Accept).
    Retry,
    /// Answer with this reply. The response filters of the route still see it.
    Respond(Reply),
}

impl From<Reply> for Judgement {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}

/// The hook that chooses the backend of an attempt.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Request, SelectUpstream, Selection, Upstreams};
///
/// /// Sends each attempt to the backend that has the least to do.
/// struct LeastBusy;
/// # impl Plugin for LeastBusy {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(LeastBusy) }
/// # }
///
/// impl SelectUpstream for LeastBusy {
///     fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, _attempt: u32) -> Selection {
///         (0..upstreams.count())
///             .filter(|&index| !upstreams.tried(index))
///             .min_by_key(|&index| upstreams.in_flight(index))
///             .map_or(Selection::Pass, Selection::Pick)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `SelectUpstream`",
    label = "`export!` names it for this type",
    note = "write `impl SelectUpstream for {Self}` with `fn select_upstream`, or leave the name out"
)]
pub trait SelectUpstream: Plugin {
    /// Choose a backend.
    ///
    /// Called once per attempt: `attempt` is 1 for the first, and one more each time Pace tries again because
    /// the previous one failed ([`Upstreams::last_failure`]), or because the backend that was picked has no room
    /// for another request ([`Upstreams::tried`]).
    ///
    /// ```
    /// # use pace_plugin::{NoConfig, Plugin, Reply, Request, SelectUpstream, Selection, Upstreams};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl SelectUpstream for Mine {
    /// fn select_upstream(&mut self, _: &Request, upstreams: &Upstreams, attempt: u32) -> Selection {
    ///     match attempt {
    ///         // The first backend gets all requests, and the others stand by.
    ///         attempt if attempt <= upstreams.count() => Selection::Pick(attempt - 1),
    ///         _ => Reply::new(503).header("retry-after", "5").into(),
    ///     }
    /// }
    /// # }
    /// ```
    fn select_upstream(&mut self, request: &Request, upstreams: &Upstreams, attempt: u32) -> Selection;
}

/// The hook that runs when the head of the response has come, before anything is sent to the client.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Request, Response, ResponseFilter, Verdict};
///
/// struct Anonymous;
/// # impl Plugin for Anonymous {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Anonymous) }
/// # }
///
/// impl ResponseFilter for Anonymous {
///     fn response_filter(&mut self, _: &Request, response: &mut Response) -> Verdict {
///         // Cannot fail: the name is legal, and a removal never makes a message larger.
///         let _ = response.remove_header("server");
///         Verdict::Next
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `ResponseFilter`",
    label = "`export!` names it for this type",
    note = "write `impl ResponseFilter for {Self}` with `fn response_filter`, or leave the name out"
)]
pub trait ResponseFilter: Plugin {
    /// Look at the response's head, change it, let it pass or replace the whole response.
    ///
    /// Runs once per response, in the reverse order of the route's plugins, for responses of backends and of
    /// plugins, but not for the errors with which Pace itself answers.
    ///
    /// ```
    /// # use pace_plugin::{NoConfig, Plugin, Reply, Request, Response, ResponseFilter, Verdict};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl ResponseFilter for Mine {
    /// fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict {
    ///     match response.status() {
    ///         500.. if request.path().starts_with("/api/") => Reply::new(502).body("{}").into(),
    ///         _ => Verdict::Next,
    ///     }
    /// }
    /// # }
    /// ```
    fn response_filter(&mut self, request: &Request, response: &mut Response) -> Verdict;
}

/// The hook that runs when the whole body of a response is there, before anything is sent to the client.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Content, Request, Response, ResponseBodyFilter, Verdict};
///
/// /// Adds a line to each page.
/// struct Banner;
/// # impl Plugin for Banner {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Banner) }
/// # }
///
/// impl ResponseBodyFilter for Banner {
///     fn response_body_filter(&mut self, _: &Request, _: &mut Response, body: &mut Content) -> Verdict {
///         if let Some(end) = body.find("</body>", 0) {
///             // Refused for HEAD and where HTTP knows no body, which has no such end either.
///             let _ = body.splice(end..end, "<p>This site moves tomorrow.</p>");
///         }
///         Verdict::Next
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `ResponseBodyFilter`",
    label = "`export!` names it for this type",
    note = "write `impl ResponseBodyFilter for {Self}` with `fn response_body_filter`, or leave the name out"
)]
pub trait ResponseBodyFilter: Plugin {
    /// Look at the body, change it, change the response's head, let both pass or replace the whole response.
    ///
    /// Runs once per response, in the reverse order of the route's plugins, after all response filters. A plugin that does not care
    /// says [`Response::skip_body`] in its [`ResponseFilter`].
    ///
    /// ```
    /// # use pace_plugin::{Content, NoConfig, Plugin, Request, Response, ResponseBodyFilter, Verdict, error};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl ResponseBodyFilter for Mine {
    /// fn response_body_filter(&mut self, _: &Request, _: &mut Response, body: &mut Content) -> Verdict {
    ///     if let Err(refused) = body.set_json("/debug", &false) {
    ///         error!("debug: {refused}");
    ///     }
    ///     Verdict::Next
    /// }
    /// # }
    /// ```
    fn response_body_filter(
        &mut self,
        request: &Request,
        response: &mut Response,
        body: &mut Content,
    ) -> Verdict;
}

/// The hook that runs when a request is over, whatever has become of it.
///
/// ```
/// # use pace_plugin::{NoConfig, Plugin};
/// use pace_plugin::{Counter, Ending, Finished, Outcome, Request};
///
/// /// Counts the requests that clients have given up.
/// struct Impatience {
///     given_up: Counter,
/// }
/// # impl Plugin for Impatience {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> {
/// #         Ok(Impatience { given_up: Counter::open("given-up")? })
/// #     }
/// # }
///
/// impl Finished for Impatience {
///     fn finished(&mut self, _: &Request, outcome: &Outcome) {
///         if outcome.ended() == Ending::ClientGone {
///             self.given_up.add(1);
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have the hook `Finished`",
    label = "`export!` names it for this type",
    note = "write `impl Finished for {Self}` with `fn finished`, or leave the name out"
)]
pub trait Finished: Plugin {
    /// Take note of the outcome.
    ///
    /// Runs exactly once per request that had a route, after its last byte. Nothing can be changed any more.
    ///
    /// ```
    /// # use pace_plugin::{Finished, NoConfig, Outcome, Plugin, Request, info};
    /// # struct Mine;
    /// # impl Plugin for Mine {
    /// #     type Config = NoConfig;
    /// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Mine) }
    /// # }
    /// # impl Finished for Mine {
    /// fn finished(&mut self, request: &Request, outcome: &Outcome) {
    ///     info!("{} took {:?}", request.path(), outcome.total_time());
    /// }
    /// # }
    /// ```
    fn finished(&mut self, request: &Request, outcome: &Outcome);
}

/// The decision of a filter.
///
/// ```
/// use pace_plugin::{Reply, Verdict};
///
/// fn only_humans(user_agent: Option<&[u8]>) -> Verdict {
///     match user_agent {
///         Some(name) if !name.starts_with(b"bot/") => Verdict::Next,
///         _ => Verdict::Respond(Reply::new(403)),
///     }
/// }
/// # assert_eq!(only_humans(Some(b"curl")), Verdict::Next);
/// # assert_ne!(only_humans(None), Verdict::Next);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Continue: with the next plugin, and after the last one with the next phase.
    Next,
    /// Answer with this reply. The response filters of the route still see it.
    Respond(Reply),
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}

/// The decision of [`SelectUpstream`].
///
/// ```
/// use pace_plugin::{Reply, Selection};
///
/// fn first_of(healthy: &[u32]) -> Selection {
///     match healthy.first() {
///         Some(&index) => Selection::Pick(index),
///         None => Reply::new(503).header("retry-after", "5").into(),
///     }
/// }
/// # assert_eq!(first_of(&[3, 4]), Selection::Pick(3));
/// # assert_ne!(first_of(&[]), Selection::Pass);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Send this attempt to the backend with this index, see [`Upstreams`]. An index that is out of range
    /// makes the hook fail.
    Pick(u32),
    /// Abstain: the next plugin of the route is called. If none picks, the client gets a 503.
    Pass,
    /// Send the request nowhere, and answer with this reply.
    Respond(Reply),
}

impl From<Reply> for Selection {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}
