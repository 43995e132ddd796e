//! Wrong configurations, and the messages that operators get.

use std::fs;

use pace_tests::{Exit, HttpBackend, Pace, Setup};

use crate::sections::{SERVER, pool, short_form};

/// Starts Pace with the short form, changed.
fn short(from: &str, to: &str) -> Exit {
    let backend = HttpBackend::down();
    let text = short_form(&[&backend]);
    assert!(text.contains(from), "the short form has {from}");
    Setup::new().config(&text.replace(from, to)).run()
}

fn says(exit: &Exit, parts: &[&str]) {
    let message = exit.refusal();
    for part in parts {
        assert!(message.contains(part), "{part:?} in:\n{message}");
    }
}

#[test]
fn unknown_key_is_named_with_its_line_and_the_nearest_key() {
    let exit = short("max_requests", "max_request");
    says(
        &exit,
        &[
            "pace.toml:10:1: unknown key `max_request` in [rate_limit]: did you mean `max_requests`?",
            "  10 | max_request = 100",
        ],
    );
    says(
        &short("[metrics]", "[metric]"),
        &["unknown key `metric`", "did you mean `metrics`?"],
    );
}

#[test]
fn wrong_value_is_named_with_the_allowed_ones() {
    says(
        &short("workers = 4", "workers = \"4\""),
        &["pace.toml:4:11: `workers` in [server]: expected an integer from 1 to 1024"],
    );
    says(
        &short("window_seconds = 60", "window_seconds = 0"),
        &["`window_seconds` in [rate_limit]", "from 1 to 604800"],
    );
    says(
        &short("\"client_ip\"", "\"cookie\""),
        &["`key_extractor` in [rate_limit]", "client_ip", "header:NAME"],
    );
}

#[test]
fn invalid_toml_is_named_with_its_line() {
    says(&short("[server]", "[server"), &["pace.toml:2:", "not valid TOML"]);
    says(
        &short("\"127.0.0.1:0\"", "127.0.0.1:0"),
        &["pace.toml:3:", "a text must be in quotes"],
    );
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let backend = HttpBackend::down();
    let text = short_form(&[&backend])
        .replace("workers = 4", "workers = 0\ncolour = \"red\"")
        .replace("enabled = true", "enabled = \"yes\"");
    let exit = Setup::new().config(&text).run();
    says(&exit, &["`workers`", "`colour`", "`enabled`"]);
}

#[test]
fn missing_backends_are_refused() {
    let exit = Setup::new().config("[server]\nlisten = \"127.0.0.1:0\"\n").run();
    says(
        &exit,
        &[
            "there is no backend",
            "backends = [\"http://127.0.0.1:8000\"]",
            "--backend URL",
        ],
    );
}

#[test]
fn undefined_names_are_named() {
    let backend = HttpBackend::down();
    let pool = pool("web", &[&backend]);
    let full = |rest: &str| Setup::new().config(&format!("{SERVER}\n{pool}\n{rest}")).run();

    says(
        &full("[[routes]]\npool = \"wep\"\n"),
        &[
            "`pool` in [[routes]]",
            "there is no pool `wep`",
            "did you mean `web`?",
        ],
    );
    says(
        &full("[[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n"),
        &["there is no plugin `limit`"],
    );
    says(
        &full("[[plugins]]\nname = \"a\"\nwasm = \"builtin:rate-limit\"\n[[routes]]\npool = \"web\"\n"),
        &[
            "there is no builtin plugin `rate-limit`",
            "did you mean `rate-limiter`?",
        ],
    );
}

#[test]
fn mixed_forms_are_refused() {
    let backend = HttpBackend::down();
    let text = format!("{}\n{}", short_form(&[&backend]), pool("web", &[&backend]));
    says(&Setup::new().config(&text).run(), &["cannot be used together"]);

    let full = format!(
        "{SERVER}\n{}\n[[routes]]\npool = \"web\"\n",
        pool("web", &[&backend])
    );
    let exit = Setup::new()
        .config(&full)
        .args(["--backend", "127.0.0.1:1"])
        .run();
    says(&exit, &["--backend", "has pools of its own"]);
}

#[test]
fn proxy_protocol_without_trusted_proxies_is_refused() {
    says(
        &short("workers = 4", "proxy_protocol = true"),
        &["`proxy_protocol` in [server]", "`trusted_proxies`"],
    );
}

/// The plugin checks its own table; its message follows its name.
#[test]
fn refusal_of_a_plugin_is_shown_with_its_name() {
    let backend = HttpBackend::down();
    let pool = pool("web", &[&backend]);
    let with = |config: &str| {
        Setup::new()
            .config(&format!(
                "{SERVER}\n{pool}\n[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
                 config = {config}\n\n[[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n"
            ))
            .run()
    };
    says(
        &with("{ max_request = 1 }"),
        &[
            "plugin `limit` (builtin:rate-limiter)",
            "max_request",
            "max_requests",
        ],
    );
    says(
        &with("{ max_requests = 0 }"),
        &["plugin `limit`", "max_requests", "from 1 to"],
    );
    says(
        &with("{ max_requests = \"many\" }"),
        &["plugin `limit`", "max_requests"],
    );
}

/// A route's own table is checked as well, before the first request comes there.
#[test]
fn wrong_config_of_a_route_is_refused_at_start() {
    let backend = HttpBackend::down();
    let pool = pool("web", &[&backend]);
    let exit = Setup::new()
        .config(&format!(
            "{SERVER}\n{pool}\n[[plugins]]\nname = \"headers\"\nwasm = \"builtin:header-injection\"\n\n\
             [[routes]]\npool = \"web\"\n\
             plugins = [{{ use = \"headers\", config = {{ response = {{ set = {{ connection = \"close\" }} }} }} }}]\n"
        ))
        .run();
    says(
        &exit,
        &["`plugins.config.response.set.connection` in [[routes]]: plugin `headers`"],
    );
}

/// The operator has written [headers], and no plugin.
#[test]
fn wrong_headers_of_the_short_form_are_refused_at_their_line_at_start_and_on_a_reload() {
    let backend = HttpBackend::down();
    let wrong = "[headers]\nresponse = { set = { connection = \"close\" } }\n";
    let text = format!("{}{wrong}", short_form(&[&backend]));
    let exit = Setup::new().config(&text).run();
    let said = "`response.set.connection` in [headers]: ";
    says(&exit, &["pace.toml:18:", said]);
    assert!(!exit.refusal().contains("header-injection"), "{exit:#?}");
    let pace = Pace::with_config(&text.replace("connection", "x-env"));
    fs::write(pace.directory().join("pace.toml"), &text).expect("it is writable");
    pace.wait_for_entry(&[
        "the configuration is not taken",
        "pace.toml:18:",
        said,
        "connection = \"close\"",
    ]);
}
