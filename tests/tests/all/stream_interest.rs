//! Messages that pass a stream filter which looks for something else.

use pace_tests::{
    Answer, Authority, Client, Http2, HttpBackend, Pace, Request, Scripted, Setup, Tls, fixture, wait_until,
};

use crate::sections::plugin;

/// Starts Pace with a filter for the lines with `see` of requests or responses, on a listener and an encrypted one.
fn start(authority: &Authority, backends: &str, of: &str) -> Pace {
    let words = plugin("words", &fixture("stream-words"));
    let setup = Setup::new().config(&format!(
        "[server]\nworkers = 1\n\n[admin]\nlisten = '127.0.0.1:0'\n\n\
         [[listeners]]\nlisten = '127.0.0.1:0'\n\n\
         [[listeners]]\nlisten = '127.0.0.2:0'\ncertificates = [{{ cert = 'a.pem', key = 'a.key' }}]\n\n\
         {words}config = {{ of = '{of}', framing = 'line', interest = ['see'] }}\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{backends}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['words']\n"
    ));
    authority.issue(&["a.test"]).write(setup.directory(), "a");
    setup.start()
}

/// A client of each listener.
fn clients(pace: &Pace, authority: &Authority) -> [Client; 2] {
    let [plain, encrypted] = pace.listeners()[..] else {
        panic!("there are two")
    };
    let tls = Tls::new(authority, "a.test");
    [Client::new(plain), Client::new(encrypted).tls(&tls)]
}

/// The pieces of a message of 8 MiB. Most end with a line, and many have nothing to see.
fn pieces() -> Vec<Vec<u8>> {
    let lines: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    let lines = lines.as_bytes();
    let mut pieces = Vec::new();
    for number in 0..240 {
        match number % 50 {
            10 => pieces.push(b"see".to_vec()),
            11 => pieces.push(b"\n".to_vec()),
            20 => pieces.extend(lines.chunks(4099).map(<[u8]>::to_vec)),
            odd if odd % 2 == 1 => pieces.push([lines, b"see\n", lines].concat()),
            _ => pieces.push(lines.to_vec()),
        }
    }
    pieces
}

/// What the filter makes of the message.
fn filtered(message: &[u8]) -> Vec<u8> {
    let mut filtered = Vec::new();
    let mut seen = 0;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line {
            b"see\n" => {
                seen += 1;
                filtered.extend_from_slice(format!("see({seen})\n").as_bytes());
            }
            line => filtered.extend_from_slice(line),
        }
    }
    filtered.extend_from_slice(format!("complete after {seen}\n").as_bytes());
    filtered
}

#[test]
fn response_with_little_to_see_arrives_whole() {
    let authority = Authority::new("servers");
    let backend = HttpBackend::new(|_| Answer::chunks(pieces()));
    let pace = start(&authority, &backend.label(), "response");
    let expected = filtered(&pieces().concat());
    let calls = || {
        let hook = [("hook", "response-stream-filter")];
        pace.metrics().sum("pace_plugin_calls_total", &hook)
    };
    for mut client in clients(&pace, &authority) {
        let before = calls();
        client.transmit(&Request::get("/")).expect("Pace listens");
        // The client does not read yet, and most of the response has to wait for it.
        wait_until("the first line that is seen", || calls() >= before + 2);
        assert!(client.read("GET").expect("it is whole").body == expected);
    }
    assert!(Http2::connect(pace.address()).get("/").body == expected);
}

#[test]
fn request_with_little_to_see_arrives_whole() {
    let authority = Authority::new("servers");
    let backend = HttpBackend::new(|request| Answer::new(request.body.len().to_string()));
    let pace = start(&authority, &backend.label(), "request");
    let message = pieces().concat();
    let expected = filtered(&message);
    let request = Request::post("/", message);
    let length = expected.len().to_string();
    for mut client in clients(&pace, &authority) {
        assert_eq!(client.send(&request).text(), length);
        let chunked = request.clone().header("Transfer-Encoding", "chunked");
        assert_eq!(client.send(&chunked).text(), length);
    }
    assert_eq!(Http2::connect(pace.address()).send(&request).text(), length);
    for seen in backend.requests() {
        assert!(seen.body == expected);
    }
}

#[test]
fn request_with_nothing_to_see_is_sent_again_from_its_start() {
    let deaf = Scripted::new(|line| {
        line.head()?;
        line.bytes(5).map(drop)
    });
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()).header("Connection", "close"));
    let authority = Authority::new("servers");
    let pace = start(
        &authority,
        &format!("{}', '{}", deaf.label(), backend.label()),
        "request",
    );
    for number in 1..=4 {
        let mut client = pace.client();
        client
            .write("PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n8\r\none\ntwo\n\r\n");
        wait_until("the first part at a backend", || {
            deaf.received().len() + backend.connections() >= number
        });
        client.write("9\r\nsee\nthree\r\n0\r\n\r\n");
        let answer = client.read("PUT").expect("there is an answer");
        assert_eq!(answer.text(), "one\ntwo\nsee(1)\nthree\ncomplete after 1\n");
    }
    assert!(!deaf.received().is_empty(), "it got the first attempt of some");
}
