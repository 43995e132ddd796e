//! The command line.

use std::net::TcpListener;

use pace_tests::{Exit, HttpBackend, Setup, fixture};

use crate::sections::{plugin, pool, short_form};

fn run(args: &[&str]) -> Exit {
    Setup::new().args(args).run()
}

#[test]
fn version_and_help_are_printed_for_newcomers() {
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stdout.as_str()), (Some(0), "pace 0.1.0\n"));

    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "--config <FILE>",
        "--listen <ADDR>",
        "--backend <URL>",
        "check",
        "pace --backend http://127.0.0.1:8000",
        "RUST_LOG",
        "SIGTERM",
    ] {
        assert!(help.stdout.contains(word), "{word} in:\n{}", help.stdout);
    }
    assert_eq!(run(&["check", "--help"]).code, Some(0));
}

#[test]
fn unknown_argument_is_refused_with_the_usage() {
    let exit = run(&["--bakend", "http://127.0.0.1:8000"]);
    assert_ne!(exit.code, Some(0));
    assert!(exit.stderr.contains("'--backend'"), "{}", exit.stderr);
    assert!(exit.stderr.contains("Usage: pace"), "{}", exit.stderr);
}

#[test]
fn backends_alone_make_a_complete_proxy() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    for command in [&[][..], &["run"]] {
        let pace = Setup::new()
            .args(command)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--backend", &one.url(), "--backend", &two.label()])
            .start();
        assert_eq!([pace.get("/").text(), pace.get("/").text()], ["one", "two"]);
        assert_eq!(pace.get("/").header("x-proxy"), Some("pace"));
    }
}

#[test]
fn options_override_the_file() {
    let (written, given) = (HttpBackend::named("written"), HttpBackend::named("given"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let config = short_form(&[&written]).replace("127.0.0.1:0", &taken);

    let pace = Setup::new()
        .config(&config)
        .args(["--listen", "127.0.0.1:0", "--backend", &given.url()])
        .start();
    assert_eq!(pace.get("/").text(), "given");
    assert!(written.requests().is_empty());
    assert_eq!(pace.get("/metrics").status, 200, "the rest of the file holds");
}

#[test]
fn start_without_arguments_says_what_is_needed() {
    for args in [&[][..], &["run"], &["check"], &["--listen", "127.0.0.1:0"]] {
        let exit = run(args);
        let message = exit.refusal();
        assert!(message.contains("--backend URL"), "{message}");
        assert!(message.contains("--config FILE"), "{message}");
    }
}

#[test]
fn missing_file_is_named() {
    let exit = run(&["--config", "nowhere/pace.toml"]);
    assert!(exit.refusal().contains("nowhere/pace.toml"), "{exit:?}");
}

#[test]
fn wrong_option_is_named() {
    let exit = run(&["--listen", "8080", "--backend", "http://127.0.0.1:8000"]);
    assert!(exit.refusal().contains("--listen"), "{exit:?}");

    let exit = run(&["--backend", "ftp://127.0.0.1:8000"]);
    assert!(exit.refusal().contains("--backend"), "{exit:?}");
}

#[test]
fn port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let backend = HttpBackend::down();

    let exit = run(&["--listen", &address, "--backend", &backend.url()]);
    let message = exit.refusal();
    assert!(message.contains(&address), "{message}");
    assert!(message.contains("in use"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");

    let admin = format!("[admin]\nlisten = {address:?}\n[server]\nlisten = \"127.0.0.1:0\"\n");
    let exit = Setup::new()
        .config(&admin)
        .args(["--backend", &backend.url()])
        .run();
    assert!(exit.refusal().contains(&address), "{exit:?}");
    assert!(exit.refusal().contains("[admin]"), "{exit:?}");
}

#[test]
fn check_shows_what_would_be_served() {
    let backend = HttpBackend::down();
    // The port is taken, which `check` does not notice, because it does not open it.
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let exit = Setup::new()
        .args(["check"])
        .config(&short_form(&[&backend]).replace("127.0.0.1:0", &taken))
        .run();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    for line in [
        "ok: 1 listener, 1 route, 1 pool, 3 plugins",
        &format!("  listener {taken}"),
        "  route 1: default",
        "  pool default",
        &format!("    backend {}", backend.label()),
        "  plugin rate-limiter (builtin:rate-limiter)",
        "  plugin round-robin (builtin:round-robin)",
        "  plugin header-injection (builtin:header-injection)",
        "    hooks:   request-filter, response-filter",
    ] {
        assert!(
            exit.stdout.lines().any(|printed| printed == line),
            "{line} in:\n{}",
            exit.stdout
        );
    }
}

#[test]
fn check_looks_no_name_up_offline() {
    let config = "[[listeners]]\nlisten = 'gone.invalid:80'\n\
        [[listeners]]\nlisten = '127.0.0.1:0'\nroutes = ['api']\n\
        [[pools]]\nname = 'api'\nprotocol = 'h2'\ntls = { verify = false }\n\
        backends = [{ address = 'https://gone.invalid:1', weight = 3 }, { address = 'unix:/a.sock', backup = true }]\n\
        [[routes]]\nname = 'api'\npool = 'api'\n";
    let check = |args: &[&str]| Setup::new().args(["check"]).args(args).config(config).run();
    let refused = check(&[]);
    assert!(
        refused
            .refusal()
            .contains("cannot find the address of gone.invalid"),
        "{refused:?}"
    );
    let exit = check(&["--offline"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(!exit.stderr.contains("cannot find"), "{exit:#?}");
    let expected = "\
ok: 2 listeners, 1 route, 1 pool, 0 plugins
  listener gone.invalid:80
  listener 127.0.0.1:0
    routes: api
  route 1: api
    match:   */
    goes to: pool api
    plugins: none
  pool api (HTTP/2)
    backend gone.invalid:1 (TLS, not verified, weight 3)
    backend unix:/a.sock (backup)
";
    assert_eq!(exit.stdout, expected);
}

#[test]
fn check_refuses_what_a_start_would_refuse() {
    let backend = HttpBackend::down();
    let config = short_form(&[&backend]).replace("workers = 4", "workers = 0");
    let check = Setup::new().args(["check"]).config(&config).run();
    assert!(check.refusal().contains("`workers` in [server]"), "{check:?}");

    // A plugin that no route uses is checked, too.
    let config = format!(
        "{}{}[[routes]]\npool = \"web\"\n",
        plugin("unused", &fixture("no-hook")),
        pool("web", &[&backend]),
    );
    let check = Setup::new().args(["check"]).config(&config).run();
    assert!(check.refusal().contains("`unused`"), "{check:?}");
}
