//! `pace check` and `pace route`: what is said about routes without serving.

use pace_tests::{Exit, HttpBackend, Setup};

use super::file;

const ROUTES: [&str; 6] = [
    "pool = 'web'",
    "name = 'api'\nmatch = { host = '*.example.com', path_prefix = '/v1', methods = ['GET'] }\npool = 'web'\n\
     rewrite = { strip_prefix = '/v1', add_prefix = '/api', host = 'api.internal' }\nplugins = ['limit']\n\
     mirror = { pool = 'next', percent = 0.5 }",
    "name = 'split'\nmatch = { path_prefix = '/split' }\nsplit_by = 'header:x-user'\n\
     pools = [{ pool = 'web', weight = 9 }, { pool = 'next', weight = 1 }]",
    "name = 'moved'\nmatch = { path = '/moved' }\nredirect = { to = 'https://{host}/here?' }",
    "name = 'ok'\nmatch = { path_regex = '^/health', headers = { x-probe = '1' } }\nrespond = { body = 'ok' }",
    "name = 'post'\nmatch = { host = 'post.test', methods = ['POST'] }\npool = 'web'",
];

fn run(args: &[&str]) -> Exit {
    let (web, next) = (HttpBackend::down(), HttpBackend::down());
    let plugin = "[[plugins]]\nname = 'limit'\nwasm = 'builtin:rate-limiter'\n";
    let text = plugin.to_owned() + &file(&[("web", &web), ("next", &next)], &ROUTES);
    Setup::new().args([args[0]]).config(&text).args(&args[1..]).run()
}

#[test]
fn check_lists_routes_in_the_order_in_which_they_are_tried() {
    let exit = run(&["check"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let expected = "\
  route 1: post
    match:   post.test/, POST
    goes to: pool web
    plugins: none
  route 2: api
    match:   *.example.com/v1, GET or HEAD
    goes to: pool web; 0.5 % are copied to the pool next
    plugins: limit
  route 3: moved
    match:   */moved and nothing below
    goes to: https://{host}/here? (307)
    plugins: none
  route 4: ok
    match:   * with paths like ^/health, x-probe: 1
    goes to: an answer of its own (200)
    plugins: none
  route 5: split
    match:   */split
    goes to: pools web (weight 9), next (weight 1), by the header x-user
    plugins: none
  route 6: */
    match:   */
    goes to: pool web
    plugins: none
";
    assert!(exit.stdout.contains(expected), "{}", exit.stdout);
}

#[test]
fn route_tells_where_a_request_goes_and_why_not_elsewhere() {
    let exit = run(&["route", "GET", "http://www.example.com/v1/users?a=b"]);
    let expected = "\
route api
  match:   *.example.com/v1, GET or HEAD
  goes to: pool web; 0.5 % are copied to the pool next
  sent as: GET /api/users?a=b, Host: api.internal
  plugins: limit
not post: the host is not post.test
not moved: the path is not /moved
not ok: ^/health is not found in the path
not split: the path is not below /split
not */: it matches, too, and is tried later
";
    assert_eq!(
        (exit.code, exit.stdout.as_str()),
        (Some(0), expected),
        "{exit:#?}"
    );
}

#[test]
fn route_takes_fields_and_clients_into_account() {
    let exit = run(&["route", "GET", "/health", "-H", "X-Probe: 1"]);
    assert!(exit.stdout.starts_with("route ok\n"), "{exit:#?}");
    let exit = run(&["route", "GET", "/health", "-H", "X-Probe: 2"]);
    assert!(exit.stdout.starts_with("route */\n"), "{exit:#?}");
    assert!(
        exit.stdout.contains("\nnot ok: no field x-probe is \"1\"\n"),
        "{exit:#?}"
    );
    let exit = run(&["route", "GET", "/moved?x", "--header", "host: a.test"]);
    assert!(
        exit.stdout.contains("\n  url:     https://a.test/here\n"),
        "{exit:#?}"
    );
    let side = |client: &str| {
        let exit = run(&["route", "GET", "http://a.test/split", "--client", client]);
        let line = exit
            .stdout
            .lines()
            .find(|line| line.starts_with("  pool:    "))
            .map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("{exit:#?}"));
        assert!(line.ends_with(&format!(", with the client {client}")), "{line}");
        line.contains("next")
    };
    let sides: Vec<bool> = (0..64).map(|client| side(&format!("192.0.2.{client}"))).collect();
    assert!(sides.contains(&true) && sides.contains(&false));
}

#[test]
fn request_without_a_route_is_told_with_exit_code_1() {
    let (web, next) = (HttpBackend::down(), HttpBackend::down());
    let text = file(
        &[("web", &web), ("next", &next)],
        &["pool = 'web'\nmatch = { path = '/a', methods = ['GET'] }"],
    );
    let ask = |args: &[&str]| Setup::new().args(["route"]).config(&text).args(args).run();
    let exit = ask(&["GET", "/b"]);
    assert_eq!(
        (exit.code, exit.stdout.as_str()),
        (Some(1), "no route: 404\nnot */a: the path is not /a\n")
    );
    let exit = ask(&["POST", "http://a.test/a"]);
    assert_eq!(
        (exit.code, exit.stdout.as_str()),
        (
            Some(1),
            "no route: 405, allowed are GET, HEAD\nnot */a: the method is not GET or HEAD\n"
        )
    );
    for (args, reason) in [
        (
            &["GET", "www.example.com"][..],
            "is neither a URL such as http://example.com/path nor a path",
        ),
        (
            &["GET", "/a", "-H", "x-a"],
            "\"x-a\" is no field: write it as 'NAME: VALUE'",
        ),
        (
            &["GET", "/a%2fb"],
            "Pace refuses this request before any route, with 400: bad request: the path has an encoded slash",
        ),
        (&["TRACE", "/a"], "with 501"),
    ] {
        let exit = ask(args);
        assert!(exit.refusal().contains(reason), "{exit:#?}");
    }
}

#[test]
fn route_is_that_of_the_listener_that_the_url_leads_to() {
    let text = "[metrics]\n
        [[listeners]]\nlisten = '127.0.0.1:8081'\nroutes = ['inner']\n
        [[listeners]]\nlisten = '127.0.0.1:8082'\nroutes = ['outer']\n
        [[routes]]\nname = 'inner'\nrespond = {}\n
        [[routes]]\nname = 'outer'\nrespond = {}\n";
    let ask = |url: &str| {
        Setup::new()
            .args(["route"])
            .config(text)
            .args(["GET", url])
            .run()
            .stdout
    };
    assert!(ask("http://a.test:8082/").starts_with("at the listener 127.0.0.1:8082\nroute outer\n"));
    assert!(ask("http://a.test:8081/").starts_with("at the listener 127.0.0.1:8081\nroute inner\n"));
    assert!(ask("http://a.test/metrics").ends_with("no route: the metrics are the answer\n"));
}
