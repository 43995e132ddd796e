//! The output of `wit-bindgen` for the contract in `wit/`. Nothing here is written by hand, and nothing is
//! public: the crate wraps it, and only the code that [`export!`](crate::export) expands to can reach the
//! exports.
//!
//! The interfaces are generated one by one and not as one world, because a component must export exactly the
//! hooks that it implements. Each world below describes one part of a plugin, the linker puts the
//! descriptions of the used ones side by side, and the component is their union. Unused imports are dropped
//! on the way.

// The lint exceptions have one reason: this is generated code, whose documentation is the contract's own.
#![allow(missing_docs, unreachable_pub, clippy::undocumented_unsafe_blocks)]

/// The imports: everything that Pace lends to a plugin.
pub(crate) mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "capabilities",
        // The key of a window can name bytes that the plugin already has, so it borrows them.
        ownership: Borrowing { duplicate_if_necessary: false },
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/log@0.1.0/level": crate::log::Level,
            "pace:plugin/upstreams@0.1.0/failure": crate::Failure,
        },
    });
}

/// The export `lifecycle`.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world lifecycle {
                export pace:plugin/lifecycle@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
    });
}

/// The export `request-filter`.
pub mod request_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world request-filter {
                export pace:plugin/request-filter@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
            "pace:plugin/http@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_request_filter",
    });
}

/// The export `request-body-filter`.
pub mod request_body_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world request-body-filter {
                export pace:plugin/request-body-filter@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
            "pace:plugin/http@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_request_body_filter",
    });
}

/// The export `request-stream-filter`.
pub mod request_stream_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world request-stream-filter {
                export pace:plugin/request-stream-filter@0.1.0;
            }
        ",
        with: {
            "pace:plugin/http@0.1.0": crate::bindings::imports::pace::plugin::http,
            "pace:plugin/outcome@0.1.0": crate::bindings::imports::pace::plugin::outcome,
            "pace:plugin/streams@0.1.0": crate::bindings::imports::pace::plugin::streams,
            "pace:plugin/upstreams@0.1.0": crate::bindings::imports::pace::plugin::upstreams,
            "pace:plugin/request-stream-filter@0.1.0": generate,
        },
        pub_export_macro: true,
        export_macro_name: "export_request_stream_filter",
    });
}

/// The export `response-body-filter`.
pub mod response_body_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world response-body-filter {
                export pace:plugin/response-body-filter@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
            "pace:plugin/http@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_response_body_filter",
    });
}

/// The export `attempt-filter`.
pub mod attempt_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world attempt-filter {
                export pace:plugin/attempt-filter@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
            "pace:plugin/http@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_attempt_filter",
    });
}

/// The export `select-upstream`.
pub mod select_upstream {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world select-upstream {
                export pace:plugin/select-upstream@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
        },
        pub_export_macro: true,
        export_macro_name: "export_select_upstream",
    });
}

/// The export `finished`.
pub mod finished {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world finished {
                export pace:plugin/finished@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_finished",
    });
}

/// The export `response-filter`.
pub mod response_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world response-filter {
                export pace:plugin/response-filter@0.1.0;
            }
        ",
        generate_all,
        with: {
            "pace:plugin/http@0.1.0/header-field": crate::Header,
            "pace:plugin/http@0.1.0/http-response": crate::Reply,
            "pace:plugin/http@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_response_filter",
    });
}

/// The export `response-stream-filter`.
pub mod response_stream_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package pace:sdk;
            world response-stream-filter {
                export pace:plugin/response-stream-filter@0.1.0;
            }
        ",
        with: {
            "pace:plugin/http@0.1.0": crate::bindings::imports::pace::plugin::http,
            "pace:plugin/outcome@0.1.0": crate::bindings::imports::pace::plugin::outcome,
            "pace:plugin/streams@0.1.0": crate::bindings::imports::pace::plugin::streams,
            "pace:plugin/upstreams@0.1.0": crate::bindings::imports::pace::plugin::upstreams,
            "pace:plugin/response-stream-filter@0.1.0": generate,
        },
        pub_export_macro: true,
        export_macro_name: "export_response_stream_filter",
    });
}
