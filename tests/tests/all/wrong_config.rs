//! Configurations that are wrong: what the operator reads.

use pace_tests::{Exit, Origin, Setup};

use crate::sections::{SERVER, pool, short_form};

/// Starts Pace with the short form, changed.
fn short(from: &str, to: &str) -> Exit {
    let origin = Origin::down();
    let text = short_form(&[&origin]);
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
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
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
fn a_wrong_value_is_named_with_what_is_allowed() {
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
fn what_is_not_toml_is_named_with_its_line() {
    says(&short("[server]", "[server"), &["pace.toml:2:", "not valid TOML"]);
    says(
        &short("\"127.0.0.1:0\"", "127.0.0.1:0"),
        &["pace.toml:3:", "a text must be in quotes"],
    );
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let origin = Origin::down();
    let text = short_form(&[&origin])
        .replace("workers = 4", "workers = 0\ncolour = \"red\"")
        .replace("enabled = true", "enabled = \"yes\"");
    let exit = Setup::new().config(&text).run();
    says(&exit, &["`workers`", "`colour`", "`enabled`"]);
}

#[test]
fn backends_are_needed() {
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
fn names_that_lead_nowhere_are_named() {
    let origin = Origin::down();
    let pool = pool("web", &[&origin]);
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
fn the_two_forms_do_not_mix() {
    let origin = Origin::down();
    let text = format!("{}\n{}", short_form(&[&origin]), pool("web", &[&origin]));
    says(&Setup::new().config(&text).run(), &["cannot be used together"]);

    let full = format!(
        "{SERVER}\n{}\n[[routes]]\npool = \"web\"\n",
        pool("web", &[&origin])
    );
    let exit = Setup::new()
        .config(&full)
        .args(["--backend", "127.0.0.1:1"])
        .run();
    says(&exit, &["--backend", "has pools of its own"]);
}

#[test]
fn proxy_protocol_needs_somebody_to_trust() {
    says(
        &short("workers = 4", "proxy_protocol = true"),
        &["`proxy_protocol` in [server]", "`trusted_proxies`"],
    );
}

/// The plugin checks its table itself; what it says goes behind its name.
#[test]
fn what_a_plugin_refuses_is_shown_with_its_name() {
    let origin = Origin::down();
    let pool = pool("web", &[&origin]);
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
fn a_routes_own_config_is_refused_at_start() {
    let origin = Origin::down();
    let pool = pool("web", &[&origin]);
    let exit = Setup::new()
        .config(&format!(
            "{SERVER}\n{pool}\n[[plugins]]\nname = \"headers\"\nwasm = \"builtin:header-injection\"\n\n\
             [[routes]]\npool = \"web\"\n\
             plugins = [{{ use = \"headers\", config = {{ response = {{ set = {{ connection = \"close\" }} }} }} }}]\n"
        ))
        .run();
    says(&exit, &["plugin `headers`", "connection"]);
}
