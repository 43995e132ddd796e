//! `pools` and `split_by`: shares of a route's requests.

use std::collections::BTreeMap;

use pace_tests::{HttpBackend, Pace, Request};

use super::{file, routed};
use crate::sections::{SERVER, pool};
use crate::swapping::reconfigure;

/// The shares of two pools, and more keys of their route.
fn split(old: u32, new: u32, keys: &str) -> String {
    format!(
        "name = 'split'\npools = [{{ pool = 'old', weight = {old} }}, {{ pool = 'new', weight = {new} }}]\n{keys}"
    )
}

/// The pool of each of so many users, by the field `x-user`.
fn sides(pace: &Pace, users: usize) -> BTreeMap<usize, String> {
    let mut client = pace.client();
    let mut side = |user: usize| {
        let request = Request::get("/").header("X-User", user.to_string());
        client.send(&request).text().to_owned()
    };
    (0..users).map(|user| (user, side(user))).collect()
}

fn count(sides: &BTreeMap<usize, String>, name: &str) -> usize {
    sides.values().filter(|side| *side == name).count()
}

#[test]
fn split_without_a_key_is_by_chance_and_weight() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let pace = routed(&[("old", &old), ("new", &new)], &[&split(3, 1, "")]);
    let mut client = pace.client();
    let of_new = (0..400).filter(|_| client.get("/").text() == "new").count();
    // One of 100 million runs is beyond this.
    assert!((50..=150).contains(&of_new), "{of_new}");
    let pace = routed(&[("old", &old), ("new", &new)], &[&split(0, 1, "")]);
    assert!((0..20).all(|_| pace.get("/").text() == "new"));
}

#[test]
fn split_by_a_header_is_kept_over_reloads_and_moves_only_the_needed_share() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let backends = [("old", &old), ("new", &new)];
    let with = |old: u32, new: u32| file(&backends, &[&split(old, new, "split_by = 'header:X-User'")]);
    let pace = Pace::with_config(&with(9, 1));
    let first = sides(&pace, 300);
    let canaries = count(&first, "new");
    assert!((10..=60).contains(&canaries), "{canaries}");
    assert_eq!(sides(&pace, 300), first);

    let reload = |text: String| assert_eq!(reconfigure(&pace, |_| text).0, 200);
    reload(with(90, 10));
    assert_eq!(sides(&pace, 300), first, "the shares are the same");
    reload(with(1, 1));
    let half = sides(&pace, 300);
    assert!((110..=190).contains(&count(&half, "new")));
    for (user, side) in &first {
        assert!(
            side == "old" || half[user] == "new",
            "user {user} has left the side that has grown"
        );
    }
    reload(with(9, 1));
    assert_eq!(sides(&pace, 300), first, "and back again");
    let other = Pace::with_config(&with(9, 1));
    assert_eq!(sides(&other, 300), first, "another process decides the same");
}

#[test]
fn split_by_client_tells_clients_apart() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let pace = routed(
        &[("old", &old), ("new", &new)],
        &[&split(1, 1, "split_by = 'client'")],
    );
    let mut sides = BTreeMap::new();
    for client in 1..=40 {
        let mut client = pace.client_from(&format!("127.0.1.{client}"));
        let answers = [(); 3].map(|()| client.get("/").text().to_owned());
        assert!(
            answers[0] == answers[1] && answers[1] == answers[2],
            "{answers:?}"
        );
        *sides.entry(answers[0].clone()).or_insert(0) += 1;
    }
    assert_eq!(sides.len(), 2, "{sides:?}");
}

/// The client is whom a trusted peer names.
#[test]
fn split_by_client_is_by_the_identified_client() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let text = file(
        &[("old", &old), ("new", &new)],
        &[&split(1, 1, "split_by = 'client'")],
    );
    let pace = Pace::with_config(&text.replace("[server]", "[server]\ntrusted_proxies = ['127.0.0.1']"));
    let mut peer = pace.client();
    let mut side = |client: &str| {
        let request = Request::get("/").header("X-Forwarded-For", client);
        peer.send(&request).text().to_owned()
    };
    let first: Vec<_> = (0..40).map(|client| side(&format!("192.0.2.{client}"))).collect();
    assert!(first.contains(&"old".to_owned()) && first.contains(&"new".to_owned()));
    let again: Vec<_> = (0..40).map(|client| side(&format!("192.0.2.{client}"))).collect();
    assert_eq!(first, again);
}

#[test]
fn split_by_a_cookie_is_by_the_client_until_there_is_one() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let pace = routed(
        &[("old", &old), ("new", &new)],
        &[&split(1, 1, "split_by = 'cookie:sid'")],
    );
    let side = |client: &str, cookie: Option<String>| {
        let request = Request::get("/");
        let request = match cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        };
        pace.client_from(client).send(&request).text().to_owned()
    };
    let with = |client: &str, sid: usize| side(client, Some(format!("a=b; sid={sid}; c=d")));
    let sides: Vec<_> = (0..40).map(|sid| with("127.0.0.1", sid)).collect();
    assert!(sides.contains(&"old".to_owned()) && sides.contains(&"new".to_owned()));
    let elsewhere: Vec<_> = (0..40).map(|sid| with("127.0.0.9", sid)).collect();
    assert_eq!(sides, elsewhere, "the cookie counts, not the client");
    for client in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let without = side(client, None);
        assert!((0..5).all(|_| side(client, None) == without));
        assert_eq!(
            side(client, Some("SID=1".to_owned())),
            without,
            "that is another cookie"
        );
    }
}

/// The pool is chosen behind the request filters, and plugins see which it is.
#[test]
fn plugin_may_decide_about_the_side() {
    let (old, new) = (HttpBackend::named("old"), HttpBackend::named("new"));
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{}
         [[plugins]]
         name = 'user'
         wasm = 'builtin:header-injection'
         config = {{ request = {{ set = {{ x-user = 'all the same' }} }} }}
         [[routes]]
         {}
         plugins = ['user']",
        pool("old", &[&old]),
        pool("new", &[&new]),
        split(1, 1, "split_by = 'header:x-user'")
    ));
    let sides = sides(&pace, 40);
    assert!(
        count(&sides, "old") == 0 || count(&sides, "new") == 0,
        "{sides:?}"
    );
}

/// Retries stay on the side that was chosen.
#[test]
fn failed_attempt_stays_in_the_pool() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = routed(&[("old", &down), ("new", &up)], &[&split(1, 0, "")]);
    assert_eq!(pace.get("/").status, 503);
    assert!(up.requests().is_empty());
}
