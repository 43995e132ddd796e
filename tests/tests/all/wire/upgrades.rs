//! Connections that change their protocol: every byte behind the 101 is passed on.

use pace_tests::{Scripted, wait_until};

use super::{OK, all, before, status};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// The bytes that the client received behind the 101.
fn behind_the_head(answer: &str) -> &str {
    assert_eq!(status(answer), 101, "{answer}");
    answer.split_once("\r\n\r\n").expect("there is a head").1
}

#[test]
fn upgraded_stream_gets_no_bytes_of_pace_at_its_end() {
    for reset in [false, true] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(SWITCH)?;
            line.write("hello")?;
            line.bytes(5)?;
            if reset {
                line.reset()?;
            }
            Ok(())
        });
        let pace = before(&backend, "max_retries = 3\nresponse_timeout_ms = 500");
        let mut client = pace.client();
        client.write(UPGRADE);
        wait_until("the greeting", || client.received().ends_with(b"hello"));
        client.write("reply");
        assert_eq!(behind_the_head(&all(&mut client)), "hello");
        assert_eq!(backend.received().len(), 1, "the handshake is not repeated");
    }
}

/// The time that a response may take does not bound an upgraded connection.
#[test]
fn quiet_stream_outlasts_the_response_timeout() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(SWITCH)?;
        line.bytes(5)?;
        line.write("at last")?;
        line.end()
    });
    let pace = before(&backend, "response_timeout_ms = 50");
    let mut client = pace.client();
    client.write(UPGRADE);
    wait_until("the switch", || client.has_received());
    // The absence of an event cannot be waited for: the pause is four times as long as a response may take.
    std::thread::sleep(std::time::Duration::from_millis(200));
    client.write("hello");
    wait_until("the answer", || client.received().ends_with(b"at last"));
}

#[test]
fn upgrade_passes_with_any_protocol_and_method() {
    for (method, protocol, extra) in [
        ("GET", "tcp", ""),
        ("POST", "tcp", "Content-Length: 0\r\n"),
        ("POST", "SPDY/3.1", ""),
    ] {
        let backend = Scripted::new(move |line| {
            let head = line.head()?.unwrap_or_default();
            assert!(
                head.contains(&format!("Upgrade: {protocol}\r\n"))
                    && head.contains("Connection: Upgrade\r\n"),
                "{head}"
            );
            line.write(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
            ))?;
            let bytes = line.bytes(5)?;
            line.write(bytes)
        });
        let pace = before(&backend, "");
        let mut client = pace.client();
        // The bytes are sent in one piece: those sent before the 101 are kept.
        client.write(format!(
            "{method} /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{extra}\r\nhello"
        ));
        let answer = all(&mut client);
        assert_eq!(behind_the_head(&answer), "hello", "{method} {protocol}");
        assert!(answer.contains(&format!("Upgrade: {protocol}\r\n")), "{answer}");
    }
}

/// The end of one side is not the end of the other.
#[test]
fn half_closes_are_passed_on_both_ways() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(SWITCH)?;
        line.end()?;
        line.write("heard you out")
    });
    let pace = before(&backend, "");
    let mut client = pace.client();
    client.write(UPGRADE);
    wait_until("the switch", || client.has_received());
    client.finish();
    assert_eq!(behind_the_head(&all(&mut client)), "heard you out");

    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(SWITCH)?;
        line.write("that is all")?;
        line.finish()?;
        assert_eq!(line.bytes(6)?, b"thanks");
        line.end()
    });
    let pace = before(&backend, "");
    let mut client = pace.client();
    client.write(UPGRADE);
    wait_until("the end", || client.received().ends_with(b"that is all"));
    client.write("thanks");
    client.finish();
    wait_until("the thanks", || backend.text().ends_with("thanks"));
    assert_eq!(behind_the_head(&all(&mut client)), "that is all");
}

/// RFC 9110, section 7.8: Upgrade without the option in Connection asks for nothing.
#[test]
fn upgrade_field_without_the_connection_option_is_no_upgrade() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    let response = pace
        .client()
        .exchange("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(response.text(), "ok");
    assert!(
        !backend.text().to_ascii_lowercase().contains("upgrade"),
        "{}",
        backend.text()
    );
}

#[test]
fn declined_upgrade_is_an_ordinary_response() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    let mut client = pace.client();
    for _ in 0..2 {
        assert_eq!(client.exchange(UPGRADE).text(), "ok");
    }
    assert_eq!((client.connections(), backend.received().len()), (1, 1));
}

/// The rest of the request would be taken for the bytes that follow the 101.
#[test]
fn switch_before_the_request_is_complete_is_a_502() {
    for framing in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let backend = Scripted::new(|line| {
            line.head()?;
            line.write(SWITCH)?;
            line.end()
        });
        let pace = before(&backend, "max_retries = 0");
        let mut client = pace.client();
        client.write(format!(
            "POST /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{framing}"
        ));
        let answer = client.read("POST").expect("there is an answer");
        assert_eq!(answer.status, 502);
    }
}

/// HTTP/2 behind an upgrade would be requests that no route and no plugin sees.
#[test]
fn upgrade_to_another_http_version_is_ignored() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    let mut client = pace.client();
    for upgrade in ["h2c", "H2C", "websocket, h2c", "TLS/1.2", "HTTP/2.0"] {
        let answer = client.exchange(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{upgrade}");
    }
    let text = backend.text().to_ascii_lowercase();
    assert!(
        !text.contains("upgrade") && !text.contains("http2-settings"),
        "{text}"
    );
}

#[test]
fn switch_to_a_protocol_that_was_not_asked_for_is_a_502() {
    for (asked, chosen, expected) in [("websocket", "h2c", 502), ("a", "a, b", 502), ("a, b", "B", 101)] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(SWITCH.replace("websocket", chosen))?;
            line.end()
        });
        let pace = before(&backend, "max_retries = 0");
        let mut client = pace.client();
        client.write(UPGRADE.replace("Upgrade: websocket", &format!("Upgrade: {asked}")));
        wait_until("an answer", || {
            client.received().ends_with(b"\r\n\r\n") || client.has_received()
        });
        let answer = String::from_utf8_lossy(&client.received()).into_owned();
        assert_eq!(status(&answer), expected, "{asked} and {chosen}");
    }
}
