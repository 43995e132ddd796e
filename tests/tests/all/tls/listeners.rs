//! Several listeners, and listeners that are added and removed.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use pace_tests::{Authority, Client, Gate, HttpBackend, Pace, Request, Setup, Tls, wait_until};

use super::{PROCESS, config, listener, setup};

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    socket.local_addr().expect("it is bound")
}

fn reload(pace: &Pace, config: &str) {
    fs::write(pace.directory().join("pace.toml"), config).expect("it can be written");
    let answer = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn plain(listen: &str, more: &str) -> String {
    format!("[[listeners]]\nlisten = \"{listen}\"\n{more}\n\n")
}

#[test]
fn listeners_come_and_go_with_the_configuration() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let certificate = authority.issue(&["a.test"]);
    let (first, second) = (plain("127.0.0.1:0", ""), free());
    let added = listener(&second.to_string(), &["a"], "");
    let both = config(&(first.clone() + &added), &backend.label());
    let one = config(&first, &backend.label());
    let pace = setup(&[("a", &certificate)], &one).start();
    let mut stays = pace.client();
    assert_eq!(stays.get("/").text(), "one");
    let encrypted = || Client::new(second).tls(&Tls::new(&authority, "a.test"));
    encrypted().connect().expect_err("nobody listens");

    reload(&pace, &both);
    let mut client = encrypted();
    assert_eq!(client.get("/").text(), "one");
    pace.wait_for_log(&["INFO", "listening on", &second.to_string()]);

    reload(&pace, &one);
    wait_until("the port to be closed", || TcpStream::connect(second).is_err());
    pace.wait_for_log(&["INFO", "no longer listening on", &second.to_string()]);
    assert_eq!(stays.get("/").text(), "one");
    assert_eq!(stays.connections(), 1);

    reload(&pace, &both);
    assert_eq!(encrypted().get("/").text(), "one", "it can come again");
}

/// The removed listener's routes are unknown: the client must connect elsewhere.
#[test]
fn connection_of_a_removed_listener_is_misdirected_and_closed() {
    let backend = HttpBackend::named("one");
    let (first, second) = (plain("127.0.0.1:0", ""), free());
    let both = config(
        &(first.clone() + &plain(&second.to_string(), "")),
        &backend.label(),
    );
    let pace = Pace::with_config(&both);
    let mut client = Client::new(second);
    assert_eq!(client.get("/").text(), "one");
    reload(&pace, &config(&first, &backend.label()));
    let response = client.get("/");
    assert_eq!((response.status, response.last), (421, true));
    assert_eq!(client.connections(), 1);
}

#[test]
fn request_under_way_outlasts_its_listener() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let (first, second) = (plain("127.0.0.1:0", ""), free());
    let both = config(
        &(first.clone() + &plain(&second.to_string(), "")),
        &backend.label(),
    );
    let pace = Pace::with_config(&both);
    let mut client = Client::new(second);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request", || backend.requests().len() == 1);
    reload(&pace, &config(&first, &backend.label()));
    gate.open();
    assert_eq!(client.read("GET").expect("it is answered").text(), "one");
}

#[test]
fn address_in_use_is_refused_and_the_old_listeners_serve_on() {
    let backend = HttpBackend::named("one");
    let first = plain("127.0.0.1:0", "");
    let pace = Pace::with_config(&config(&first, &backend.label()));
    let taken = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let address = taken.local_addr().expect("it is bound").to_string();
    let config = config(&(first + &plain(&address, "")), &backend.label());
    fs::write(pace.directory().join("pace.toml"), config).expect("it can be written");
    let answer = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.text().contains(&address), "{answer:?}");
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn listener_becomes_encrypted_and_plain_again_on_the_same_port() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let certificate = authority.issue(&["a.test"]);
    let address = free().to_string();
    let open = config(&plain(&address, ""), &backend.label());
    let closed = config(&listener(&address, &["a"], ""), &backend.label());
    let pace = setup(&[("a", &certificate)], &open).start();
    let mut encrypted = pace.client().tls(&Tls::new(&authority, "a.test"));
    let mut old = pace.client();
    assert_eq!(old.get("/").text(), "one");
    reload(&pace, &closed);
    assert_eq!(encrypted.get("/").text(), "one");
    assert_eq!(pace.client().get("/").status, 400);
    assert_eq!(old.get("/").text(), "one", "the old connection goes on");
    reload(&pace, &open);
    assert_eq!(pace.client().get("/").text(), "one");
    assert_eq!(encrypted.get("/").text(), "one", "the old connection goes on");
    assert_eq!((old.connections(), encrypted.connections()), (1, 1));
}

#[test]
fn listener_serves_the_routes_that_it_names_and_no_others() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let listeners = plain("127.0.0.1:0", "routes = [\"inside\"]") + &plain("127.0.0.2:0", "");
    let pools = [("web", &one), ("other", &two)].map(|(name, backend)| {
        format!(
            "[[pools]]\nname = {name:?}\nbackends = [\"{}\"]\n",
            backend.label()
        )
    });
    let config = format!(
        "{PROCESS}\n{listeners}{}{}\
         [[routes]]\nname = \"inside\"\nmatch = {{ path_prefix = \"/in\" }}\npool = \"web\"\n\
         [[routes]]\nname = \"rest\"\npool = \"other\"\n",
        pools[0], pools[1]
    );
    let pace = Pace::with_config(&config);
    let [narrow, wide] = pace.listeners() else {
        panic!("there are two: {:?}", pace.listeners());
    };
    assert_eq!(Client::new(*narrow).get("/in/x").text(), "one");
    assert_eq!(Client::new(*narrow).get("/").status, 404);
    assert_eq!(Client::new(*wide).get("/in/x").text(), "one");
    assert_eq!(Client::new(*wide).get("/").text(), "two");
}

#[test]
fn address_written_twice_is_refused_also_with_a_free_port() {
    let listeners = plain("127.0.0.1:0", "") + &plain("127.0.0.1:0", "");
    let exit = Setup::new().config(&config(&listeners, "127.0.0.1:1")).run();
    assert!(
        exit.refusal().contains("the address of the listener in line"),
        "{exit:?}"
    );
}

#[test]
fn ready_file_has_every_listener() {
    let backend = HttpBackend::named("one");
    let certificate = Authority::new("servers").issue(&["a.test"]);
    let listeners = listener("127.0.0.1:0", &["a"], "") + &plain("127.0.0.2:0", "");
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("ready");
    let setup = setup(&[("a", &certificate)], &config(&listeners, &backend.label()));
    let pace = setup.ready_file(&path).start();
    let text = fs::read_to_string(&path).expect("Pace serves");
    let table: toml::Table = text.parse().expect("it is TOML");
    let listed: Vec<_> = pace.listeners().iter().map(SocketAddr::to_string).collect();
    assert_eq!(table["listen"].as_str(), Some(&*listed[0]));
    assert_eq!(
        listed.iter().map(|address| &address[..10]).collect::<Vec<_>>(),
        ["127.0.0.1:", "127.0.0.2:"]
    );
}
