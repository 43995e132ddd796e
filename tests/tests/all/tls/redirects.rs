//! Plain listeners that redirect clients to a listener with TLS.

use pace_tests::{Authority, Client, HttpBackend, Request};

use super::{config, listener, setup};

#[test]
fn plain_listener_redirects_to_the_port_with_path_and_query() {
    let backend = HttpBackend::named("one");
    let certificate = Authority::new("servers").issue(&["a.test"]);
    let plain = "[[listeners]]\nlisten = \"127.0.0.2:0\"\nredirect_to_https = true\n\n";
    let listeners = listener("127.0.0.1:0", &["a"], "") + plain;
    let pace = setup(&[("a", &certificate)], &config(&listeners, &backend.label())).start();
    let [encrypted, plain] = pace.listeners() else {
        panic!("there are two: {:?}", pace.listeners());
    };
    let port = encrypted.port();
    let mut client = Client::new(*plain);
    for (request, location) in [
        (Request::get("/"), format!("https://a.test:{port}/")),
        (
            Request::get("/a%20b/c?d=%2f&e"),
            format!("https://a.test:{port}/a%20b/c?d=%2f&e"),
        ),
        (
            Request::post("/form", "some"),
            format!("https://a.test:{port}/form"),
        ),
        (Request::new("OPTIONS", "*"), format!("https://a.test:{port}")),
    ] {
        let response = client.send(&request.header("Host", "a.test:80"));
        assert_eq!(
            (response.status, response.header("location")),
            (308, Some(&*location))
        );
    }
    assert_eq!(client.connections(), 1);
    let response = client.send(&Request::get("/x").header("Host", "[::1]:80"));
    assert_eq!(
        response.header("location"),
        Some(&*format!("https://[::1]:{port}/x"))
    );
    let response = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(response.status, 400, "nobody knows where to go");
    assert!(
        response.text().contains("it names no host"),
        "{}",
        response.text()
    );
    assert!(backend.requests().is_empty());
}
