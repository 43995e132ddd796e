//! Makes a component's exports from a plugin's type.

pub(crate) mod stream;

use std::cell::RefCell;

use crate::__private::{GuestJudgement, GuestSelection};
use crate::log::{self, Level};
use crate::{
    Attempt, AttemptFilter, Content, Finished, Judgement, Outcome, Plugin, Request, RequestBodyFilter,
    RequestFilter, Response, ResponseBodyFilter, ResponseFilter, SelectUpstream, Selection, Upstreams,
    Verdict, parse_config,
};

/// Make a component of a plugin, with the named hooks.
///
/// Use it once, in the root of the crate. The hooks are the names of the traits; Pace calls only the hooks
/// named here, so name those that the plugin implements:
///
/// ```
/// # use pace_plugin::*;
/// # struct Stamp;
/// # impl Plugin for Stamp {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Stamp) }
/// # }
/// # impl RequestFilter for Stamp {
/// #     fn request_filter(&mut self, _: &mut Request) -> Verdict { Verdict::Next }
/// # }
/// # impl ResponseFilter for Stamp {
/// #     fn response_filter(&mut self, _: &Request, _: &mut Response) -> Verdict { Verdict::Next }
/// # }
/// pace_plugin::export!(Stamp: RequestFilter, ResponseFilter);
/// # fn main() {}
/// ```
///
/// A plugin without a hook, or without an implementation of a named one, does not compile:
///
/// ```compile_fail
/// # use pace_plugin::*;
/// # struct Idle;
/// # impl Plugin for Idle {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Idle) }
/// # }
/// pace_plugin::export!(Idle: RequestFilter);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: $crate::__private::Instance<$plugin> =
                    const { $crate::__private::Instance::new() };
            }

            struct Component;

            impl $crate::__private::LifecycleGuest for Component {
                fn configure(config: ::std::string::String) -> $crate::__private::Configured {
                    INSTANCE.with(|instance| $crate::__private::configure::<$plugin>(instance, &config))
                }
            }

            const _: fn(::std::string::String) -> $crate::__private::Configured =
                <Component as $crate::__private::LifecycleGuest>::configure;

            #[cfg(target_arch = "wasm32")]
            $crate::__private::generated::lifecycle::export_lifecycle!(
                Component with_types_in $crate::__private::generated::lifecycle
            );

            // The constants have the compiler report a hook that is named twice by its name, and not by a
            // name in this macro.
            $(#[allow(non_upper_case_globals, reason = "it is the trait's name")] const $hook: () = ();)+
            $($crate::__export_hook!($plugin, $hook);)+
        };
    };
    ($plugin:ty $(:)?) => {
        ::core::compile_error!("name at least one hook: RequestFilter, RequestBodyFilter, RequestStreamFilter, AttemptFilter, SelectUpstream, ResponseFilter, ResponseBodyFilter, ResponseStreamFilter, Finished");
    };
}

/// Expands one hook of [`export!`].
///
/// The symbols are for wasm only: elsewhere their names (`pace:plugin/lifecycle@0.1.0#configure`) mean
/// something else to a linker, or nothing. The rest is compiled for every target, and the constants show the
/// compiler that it is used.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    ($plugin:ty, RequestFilter) => {
        impl $crate::__private::RequestFilterGuest for Component {
            fn filter() -> $crate::Verdict {
                INSTANCE.with($crate::__private::request_filter::<$plugin>)
            }
        }

        const _: fn() -> $crate::Verdict =
            <Component as $crate::__private::RequestFilterGuest>::filter;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::request_filter::export_request_filter!(
            Component with_types_in $crate::__private::generated::request_filter
        );
    };
    ($plugin:ty, RequestBodyFilter) => {
        impl $crate::__private::RequestBodyFilterGuest for Component {
            fn filter() -> $crate::Verdict {
                INSTANCE.with($crate::__private::request_body_filter::<$plugin>)
            }
        }

        const _: fn() -> $crate::Verdict =
            <Component as $crate::__private::RequestBodyFilterGuest>::filter;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::request_body_filter::export_request_body_filter!(
            Component with_types_in $crate::__private::generated::request_body_filter
        );
    };
    ($plugin:ty, RequestStreamFilter) => {
        struct RequestMessage($crate::__private::Held<<$plugin as $crate::RequestStreamFilter>::Message>);

        impl $crate::__private::RequestMessageGuest for RequestMessage {
            fn next(&self) -> $crate::__private::GuestStep {
                INSTANCE.with(|instance| $crate::__private::next_of_request::<$plugin>(instance, &self.0))
            }

            fn end(&self, how: $crate::__private::GuestEnding) {
                INSTANCE.with(|instance| $crate::__private::end_of_request::<$plugin>(instance, &self.0, how));
            }
        }

        impl $crate::__private::RequestStreamFilterGuest for Component {
            type RequestMessage = RequestMessage;

            fn open() -> ::core::option::Option<$crate::__private::RequestOpening> {
                let opened = INSTANCE.with($crate::__private::open_request::<$plugin>);
                opened.map(|(held, framing, access, interest)| $crate::__private::RequestOpening {
                    message: $crate::__private::RequestMessageHandle::new(RequestMessage(held)),
                    framing,
                    access,
                    interest,
                })
            }
        }

        const _: fn() -> ::core::option::Option<$crate::__private::RequestOpening> =
            <Component as $crate::__private::RequestStreamFilterGuest>::open;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::request_stream_filter::export_request_stream_filter!(
            Component with_types_in $crate::__private::generated::request_stream_filter
        );
    };
    ($plugin:ty, AttemptFilter) => {
        impl $crate::__private::AttemptFilterGuest for Component {
            fn prepare(number: u32) -> $crate::Verdict {
                INSTANCE.with(|instance| $crate::__private::prepare::<$plugin>(instance, number))
            }

            fn judge(number: u32) -> $crate::__private::GuestJudgement {
                INSTANCE.with(|instance| $crate::__private::judge::<$plugin>(instance, number))
            }
        }

        const _: fn(u32) -> $crate::Verdict =
            <Component as $crate::__private::AttemptFilterGuest>::prepare;
        const _: fn(u32) -> $crate::__private::GuestJudgement =
            <Component as $crate::__private::AttemptFilterGuest>::judge;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::attempt_filter::export_attempt_filter!(
            Component with_types_in $crate::__private::generated::attempt_filter
        );
    };
    ($plugin:ty, SelectUpstream) => {
        impl $crate::__private::SelectUpstreamGuest for Component {
            fn select(
                attempt: u32,
            ) -> $crate::__private::GuestSelection {
                INSTANCE.with(|instance| $crate::__private::select_upstream::<$plugin>(instance, attempt))
            }
        }

        const _: fn(u32) -> $crate::__private::GuestSelection =
            <Component as $crate::__private::SelectUpstreamGuest>::select;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::select_upstream::export_select_upstream!(
            Component with_types_in $crate::__private::generated::select_upstream
        );
    };
    ($plugin:ty, ResponseFilter) => {
        impl $crate::__private::ResponseFilterGuest for Component {
            fn filter() -> $crate::Verdict {
                INSTANCE.with($crate::__private::response_filter::<$plugin>)
            }
        }

        const _: fn() -> $crate::Verdict =
            <Component as $crate::__private::ResponseFilterGuest>::filter;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::response_filter::export_response_filter!(
            Component with_types_in $crate::__private::generated::response_filter
        );
    };
    ($plugin:ty, ResponseBodyFilter) => {
        impl $crate::__private::ResponseBodyFilterGuest for Component {
            fn filter() -> $crate::Verdict {
                INSTANCE.with($crate::__private::response_body_filter::<$plugin>)
            }
        }

        const _: fn() -> $crate::Verdict =
            <Component as $crate::__private::ResponseBodyFilterGuest>::filter;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::response_body_filter::export_response_body_filter!(
            Component with_types_in $crate::__private::generated::response_body_filter
        );
    };
    ($plugin:ty, ResponseStreamFilter) => {
        struct ResponseMessage($crate::__private::Held<<$plugin as $crate::ResponseStreamFilter>::Message>);

        impl $crate::__private::ResponseMessageGuest for ResponseMessage {
            fn next(&self) -> $crate::__private::GuestStep {
                INSTANCE.with(|instance| $crate::__private::next_of_response::<$plugin>(instance, &self.0))
            }

            fn end(&self, how: $crate::__private::GuestEnding) {
                INSTANCE.with(|instance| $crate::__private::end_of_response::<$plugin>(instance, &self.0, how));
            }
        }

        impl $crate::__private::ResponseStreamFilterGuest for Component {
            type ResponseMessage = ResponseMessage;

            fn open() -> ::core::option::Option<$crate::__private::ResponseOpening> {
                let opened = INSTANCE.with($crate::__private::open_response::<$plugin>);
                opened.map(|(held, framing, access, interest)| $crate::__private::ResponseOpening {
                    message: $crate::__private::ResponseMessageHandle::new(ResponseMessage(held)),
                    framing,
                    access,
                    interest,
                })
            }
        }

        const _: fn() -> ::core::option::Option<$crate::__private::ResponseOpening> =
            <Component as $crate::__private::ResponseStreamFilterGuest>::open;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::response_stream_filter::export_response_stream_filter!(
            Component with_types_in $crate::__private::generated::response_stream_filter
        );
    };
    ($plugin:ty, Finished) => {
        impl $crate::__private::FinishedGuest for Component {
            fn observe() {
                INSTANCE.with($crate::__private::finished::<$plugin>);
            }
        }

        const _: fn() = <Component as $crate::__private::FinishedGuest>::observe;

        #[cfg(target_arch = "wasm32")]
        $crate::__private::generated::finished::export_finished!(
            Component with_types_in $crate::__private::generated::finished
        );
    };
    ($plugin:ty, $unknown:ident) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($unknown),
            "` is no hook; the hooks are RequestFilter, RequestBodyFilter, RequestStreamFilter, AttemptFilter, SelectUpstream, ResponseFilter, ResponseBodyFilter, ResponseStreamFilter, Finished"
        ));
    };
}

/// The result of `lifecycle.configure`. The error is a text for the operator.
pub type Configured = Result<(), String>;

/// The component's place for its plugin: empty until `configure`, then filled for the life of the instance.
#[derive(Debug)]
pub struct Instance<P>(RefCell<Option<P>>);

impl<P> Instance<P> {
    /// Creates an instance without a plugin.
    #[allow(clippy::new_without_default, reason = "made in a constant, by the macro only")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Calls a hook. Neither check can fail: Pace configures an instance before it calls a hook, and a
    /// component is never entered a second time while it runs.
    fn with<R>(&self, hook: impl FnOnce(&mut P) -> R) -> R {
        let mut plugin = self.0.borrow_mut();
        hook(plugin.as_mut().expect("Pace calls `configure` before any hook"))
    }
}

// These are functions and not methods, so that the compiler names a missing trait where it is missing.

/// Implements `lifecycle.configure`.
pub fn configure<P: Plugin>(instance: &Instance<P>, config: &str) -> Configured {
    log_panics();
    let plugin = P::configure(parse_config(config)?)?;
    *instance.0.borrow_mut() = Some(plugin);
    Ok(())
}

/// Implements `request-filter.filter`.
pub fn request_filter<P: RequestFilter>(instance: &Instance<P>) -> Verdict {
    instance.with(|plugin| plugin.request_filter(&mut Request::ambient()))
}

/// Implements `request-body-filter.filter`.
pub fn request_body_filter<P: RequestBodyFilter>(instance: &Instance<P>) -> Verdict {
    instance.with(|plugin| plugin.request_body_filter(&mut Request::ambient(), &mut Content::ambient()))
}

/// Implements `attempt-filter.prepare`.
pub fn prepare<P: AttemptFilter>(instance: &Instance<P>, number: u32) -> Verdict {
    instance.with(|plugin| plugin.prepare(&Request::ambient(), &mut Attempt::ambient(number)))
}

/// Implements `attempt-filter.judge`.
pub fn judge<P: AttemptFilter>(instance: &Instance<P>, number: u32) -> GuestJudgement {
    let (request, attempt, response) = (Request::ambient(), Attempt::ambient(number), Response::ambient());
    let response = attempt.failure().is_none().then_some(&response);
    match instance.with(|plugin| plugin.judge(&request, &attempt, response)) {
        Judgement::Accept => GuestJudgement::Accept,
        Judgement::Retry => GuestJudgement::Retry,
        Judgement::Respond(reply) => GuestJudgement::Respond(reply),
    }
}

/// Implements `select-upstream.select`.
pub fn select_upstream<P: SelectUpstream>(instance: &Instance<P>, attempt: u32) -> GuestSelection {
    match instance.with(|plugin| plugin.select_upstream(&Request::ambient(), &Upstreams::ambient(), attempt))
    {
        Selection::Pick(index) => GuestSelection::Pick(index),
        Selection::Pass => GuestSelection::Pass,
        Selection::Respond(reply) => GuestSelection::Respond(reply),
    }
}

/// Implements `response-filter.filter`.
pub fn response_filter<P: ResponseFilter>(instance: &Instance<P>) -> Verdict {
    instance.with(|plugin| plugin.response_filter(&Request::ambient(), &mut Response::ambient()))
}

/// Implements `response-body-filter.filter`.
pub fn response_body_filter<P: ResponseBodyFilter>(instance: &Instance<P>) -> Verdict {
    let (request, mut response, mut body) = (Request::ambient(), Response::ambient(), Content::ambient());
    instance.with(|plugin| plugin.response_body_filter(&request, &mut response, &mut body))
}

/// Implements `finished.observe`.
pub fn finished<P: Finished>(instance: &Instance<P>) {
    instance.with(|plugin| plugin.finished(&Request::ambient(), &Outcome::ambient()));
}

/// What to use in place of a part of the standard library that a plugin does not have.
fn remedy(reason: &str) -> &'static str {
    match reason.contains("time not implemented on this platform") {
        true => "; the standard library has no clock here: use `pace_plugin::clock`",
        false => "",
    }
}

/// Logs where and why a plugin panicked, since the trap that follows only says that it did.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let reason = panic.payload_as_str().unwrap_or("with a value that is no text");
        match panic.location() {
            Some(place) => log::write(
                Level::Error,
                &format!("panicked at {place}: {reason}{}", remedy(reason)),
            ),
            None => log::write(Level::Error, &format!("panicked: {reason}")),
        }
    }));
}
