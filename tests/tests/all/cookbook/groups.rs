//! Plugins that decide which version a visitor gets.

use pace_tests::{HttpBackend, Pace, Request};

use super::{refusal, start, start_behind_proxy};

fn answers(pace: &Pace, request: &Request, times: usize) -> Vec<String> {
    let mut client = pace.client();
    (0..times)
        .map(|_| client.send(request).text().to_owned())
        .collect()
}

fn canary(new: &HttpBackend) -> String {
    format!(
        "backends = [\"{}\"]\nheader = {{ name = \"X-Canary\", value = \"yes\" }}\ncookie = {{ name = \"canary\" }}",
        new.label()
    )
}

#[test]
fn canary_gets_the_chosen_requests_and_no_others() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let pace = start("canary", &canary(&new), &[&old, &new]);
    assert_eq!(answers(&pace, &Request::get("/"), 6), ["old"; 6]);
    assert_eq!(
        answers(&pace, &Request::get("/").header("X-Canary", "no"), 2),
        ["old"; 2]
    );
    assert_eq!(
        answers(&pace, &Request::get("/").header("X-Canary", "yes"), 6),
        ["new"; 6]
    );
    assert_eq!(
        answers(&pace, &Request::get("/").header("Cookie", "a=1; canary=on"), 2),
        ["new"; 2]
    );
}

#[test]
fn other_backends_stand_in_for_a_canary_that_is_down() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::down());
    let pace = start("canary", &canary(&new), &[&old, &new]);
    assert_eq!(
        answers(&pace, &Request::get("/").header("X-Canary", "yes"), 3),
        ["old"; 3]
    );
}

#[test]
fn canary_does_not_stand_in_for_other_backends() {
    let (old, new) = (HttpBackend::down(), HttpBackend::named("new"));
    let pace = start("canary", &canary(&new), &[&old, &new]);
    assert_eq!(pace.get("/").status, 503);
    assert!(new.requests().is_empty());
}

#[test]
fn canary_gets_a_fixed_share_of_the_clients() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let config = format!("backends = [\"{}\"]\npercent = 25", new.label());
    let pace = start_behind_proxy("canary", &config, &[&old, &new]);
    let mut proxy = pace.client();
    let mut ask = |number: u8| {
        let request = Request::get("/").header("X-Forwarded-For", format!("192.0.2.{number}"));
        proxy.send(&request).text().to_owned()
    };
    let first: Vec<String> = (0..200).map(&mut ask).collect();
    let again: Vec<String> = (0..200).map(&mut ask).collect();
    assert_eq!(first, again);
    let chosen = first.iter().filter(|version| *version == "new").count();
    assert!((25..=75).contains(&chosen), "{chosen} of 200, for a quarter");
    let message = refusal("canary", "backends = [\"10.0.0.1:80\"]");
    assert!(
        message.contains("header, cookie, percent: one of them"),
        "{message}"
    );
}

/// The shares hold over all workers, because the counter is Pace's.
#[test]
fn ab_split_keeps_shares_and_visitors() {
    let backend = HttpBackend::new(|request| {
        pace_tests::Answer::new(request.headers.get("x-ab-group").unwrap_or("none").to_owned())
    });
    let pace = start(
        "ab-split",
        "groups = { blue = 1, green = 3 }\nsecure = false",
        &[&backend],
    );
    let mut counts = [0_u32; 2];
    for _ in 0..80 {
        let first = pace
            .client()
            .send(&Request::get("/").header("X-Ab-Group", "gold"));
        let group = first.text().to_owned();
        counts[usize::from(group == "green")] += 1;
        let cookie = format!("ab_group={group}");
        let expected = format!("{cookie}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
        assert_eq!(first.headers.all("set-cookie"), [expected.as_str()]);
        assert_eq!(first.headers.all("vary"), ["Cookie"]);

        let again = pace
            .client()
            .send(&Request::get("/").header("Cookie", format!("x=y; {cookie}")));
        assert_eq!((again.text(), again.header("set-cookie")), (group.as_str(), None));
        assert_eq!(again.headers.all("vary"), ["Cookie"]);
    }
    assert!(counts[0].abs_diff(20) <= 2, "{counts:?}, for one to three");

    // A visitor whose group no longer exists gets another.
    let moved = pace
        .client()
        .send(&Request::get("/").header("Cookie", "ab_group=red"));
    assert!(["blue", "green"].contains(&moved.text()) && moved.header("set-cookie").is_some());
}

#[test]
fn ab_split_cookie_is_secure_by_default() {
    let backend = HttpBackend::named("in");
    let pace = start("ab-split", "groups = { all = 1 }", &[&backend]);
    let response = pace.get("/");
    assert!(
        response
            .header("set-cookie")
            .is_some_and(|cookie| cookie.ends_with("; Secure")),
        "{response:?}"
    );
    assert!(refusal("ab-split", "groups = { a = 0 }").contains("groups: at least one with a share"));
}
