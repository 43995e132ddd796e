//! Orders, renewals, and the consequences of failures.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pace_tls::acme::schedule::Schedule;
use pace_tls::acme::{ChallengeKind, Challenges, Settings, Status, Watched};
use pace_tls::pair::Pair;
use tokio::time::timeout_at;

use super::authority::{Pebble, files, mode, nobody, run};
use crate::kit::deadline;

const YEARS: u64 = 157_766_400;

async fn certificate(watched: &mut Watched, is_it: impl Fn(&Pair) -> bool) -> Arc<Pair> {
    let wanted = watched
        .certificate
        .wait_for(|held| held.as_ref().is_some_and(|pair| is_it(pair)));
    let found = timeout_at(deadline(), wanted).await;
    match found {
        Ok(found) => found.unwrap().clone().unwrap(),
        Err(_) => panic!("no such certificate: {:?}", watched.status.borrow()),
    }
}

async fn status(watched: &mut Watched, is_it: impl Fn(&Status) -> bool) -> Status {
    let found = timeout_at(deadline(), watched.status.wait_for(|status| is_it(status))).await;
    found.expect("no such status").unwrap().clone()
}

fn names(pair: &Pair) -> Vec<&str> {
    pair.certificate().dns_names().collect()
}

#[tokio::test]
async fn certificate_for_several_names_is_ordered_over_http_and_kept() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let _listener = pebble.answer_http(challenges.clone()).await;
    let settings = pebble.settings(&["one.test", "Two.test"], &[ChallengeKind::Http01]);
    let (mut watched, running) = run(settings.clone(), &challenges);
    assert!(
        watched.certificate.borrow().is_none(),
        "there is nothing at the start"
    );
    let pair = certificate(&mut watched, |_| true).await;
    assert_eq!(names(&pair), ["one.test", "two.test"]);
    let told = status(&mut watched, |status| {
        !status.ordering && status.next_attempt.is_some()
    })
    .await;
    assert_eq!(told.not_after, Some(pair.certificate().not_after()));
    assert_eq!((told.failures, &told.last_failure), (0, &None));
    assert!(
        told.next_attempt.unwrap() > SystemTime::now() + Duration::from_secs(YEARS / 2),
        "{told:?}"
    );

    assert_eq!(mode(&pebble.state()), 0o700);
    let kept = files(&pebble.state());
    assert_eq!(
        kept.iter()
            .map(|file| file.file_name().unwrap())
            .collect::<Vec<_>>(),
        ["account.json", "certificate.pem"]
    );
    assert!(kept.iter().all(|file| mode(file) == 0o600));

    // The next process serves it at once and orders nothing.
    drop(running);
    let (mut again, _running) = run(settings, &challenges);
    let held = again.certificate.borrow().clone().unwrap();
    assert_eq!(held.certificate().sha256(), pair.certificate().sha256());
    let told = status(&mut again, |status| status.next_attempt.is_some()).await;
    assert!(
        told.next_attempt.unwrap() > SystemTime::now() + Duration::from_secs(YEARS / 2),
        "{told:?}"
    );
}

#[tokio::test]
async fn certificate_is_ordered_over_tls() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let _listener = pebble.answer_tls(challenges.clone()).await;
    let (mut watched, _running) = run(
        pebble.settings(&["one.test", "two.test"], &[ChallengeKind::TlsAlpn01]),
        &challenges,
    );
    let pair = certificate(&mut watched, |_| true).await;
    assert_eq!(names(&pair), ["one.test", "two.test"]);
}

#[tokio::test]
async fn second_challenge_is_tried_when_the_first_does_not_convince() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    // No process answers on the port for HTTP.
    let _listener = pebble.answer_tls(challenges.clone()).await;
    let both = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
    let (mut watched, _running) = run(pebble.settings(&["one.test"], &both), &challenges);
    certificate(&mut watched, |_| true).await;
}

#[tokio::test]
async fn unproven_name_is_reported_with_the_finding_of_the_authority() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let both = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
    let (mut watched, _running) = run(pebble.settings(&["one.test"], &both), &challenges);
    let told = status(&mut watched, |status| status.failures > 1).await;
    let why = told.last_failure.unwrap().why;
    assert!(
        why.contains("http-01: one.test: ") && why.contains("; tls-alpn-01: one.test: "),
        "{why}"
    );
    assert!(why.contains("connection refused"), "{why}");
    assert!(challenges.http("any").is_none());

    // The orders go on, and succeed once the challenge is answered.
    let _listener = pebble.answer_http(challenges.clone()).await;
    certificate(&mut watched, |_| true).await;
    let told = status(&mut watched, |status| !status.ordering).await;
    assert_eq!((told.failures, &told.last_failure), (0, &None));
}

#[tokio::test]
async fn certificate_is_renewed_before_it_expires() {
    let Some(pebble) = Pebble::start(12) else { return };
    let challenges = Arc::new(Challenges::new());
    let _listener = pebble.answer_http(challenges.clone()).await;
    let (mut watched, _running) = run(
        pebble.settings(&["one.test"], &[ChallengeKind::Http01]),
        &challenges,
    );
    let first = certificate(&mut watched, |_| true).await;
    let second = certificate(&mut watched, |pair| {
        pair.certificate().sha256() != first.certificate().sha256()
    })
    .await;
    assert!(second.certificate().not_before() > first.certificate().not_before());
}

#[tokio::test]
async fn absent_authority_leaves_the_held_certificate_and_is_asked_again() {
    let Some(mut pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let _listener = pebble.answer_http(challenges.clone()).await;
    let (mut watched, running) = run(
        pebble.settings(&["one.test"], &[ChallengeKind::Http01]),
        &challenges,
    );
    let first = certificate(&mut watched, |_| true).await;
    drop(running);

    // Another name is wanted now, and the authority is away.
    pebble.stop();
    let wanted = pebble.settings(&["one.test", "two.test"], &[ChallengeKind::Http01]);
    let (mut watched, _running) = run(wanted, &challenges);
    let told = status(&mut watched, |status| status.failures > 1).await;
    let why = told.last_failure.unwrap().why;
    assert!(
        why.starts_with("account: localhost: port ") && why.contains("refused"),
        "{why}"
    );
    assert_eq!(
        watched
            .certificate
            .borrow()
            .clone()
            .unwrap()
            .certificate()
            .sha256(),
        first.certificate().sha256()
    );

    // A restarted authority has forgotten the account: another is made.
    pebble.restart();
    let pair = certificate(&mut watched, |pair| names(pair).len() == 2).await;
    assert_eq!(names(&pair), ["one.test", "two.test"]);
}

#[tokio::test]
async fn authority_with_a_strange_certificate_is_not_asked() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let mut settings = pebble.settings(&["one.test"], &[ChallengeKind::Http01]);
    settings.root_ca = Some((
        "other.pem".to_owned(),
        crate::testing::authority("other").pem.into_bytes(),
    ));
    let (mut watched, _running) = run(settings, &challenges);
    let told = status(&mut watched, |status| status.failures > 0).await;
    let why = told.last_failure.unwrap().why;
    assert!(why.contains("not trusted: see `root_ca`"), "{why}");
}

#[tokio::test]
async fn damaged_files_are_reported_and_replaced() {
    let Some(pebble) = Pebble::start(YEARS) else {
        return;
    };
    let challenges = Arc::new(Challenges::new());
    let _listener = pebble.answer_http(challenges.clone()).await;
    let settings = pebble.settings(&["one.test"], &[ChallengeKind::Http01]);
    let (mut watched, running) = run(settings.clone(), &challenges);
    certificate(&mut watched, |_| true).await;
    drop(running);
    let kept = files(&pebble.state());
    std::fs::write(&kept[1], "nothing").unwrap();
    let (mut watched, running) = run(settings.clone(), &challenges);
    let why = watched.status.borrow().last_failure.clone().unwrap().why;
    assert!(why.contains("certificate.pem: has no certificate"), "{why}");
    certificate(&mut watched, |_| true).await;
    drop(running);

    // An unreadable account is not thrown away: it may be a slip of the editor.
    std::fs::write(&kept[0], "nothing").unwrap();
    std::fs::remove_file(&kept[1]).unwrap();
    let (mut watched, _running) = run(settings, &challenges);
    let told = status(&mut watched, |status| status.failures > 0).await;
    let why = told.last_failure.unwrap().why;
    assert!(
        why.contains("account.json: ") && why.ends_with("remove it to have a new account made"),
        "{why}"
    );
}

#[tokio::test]
async fn failed_attempt_is_followed_by_a_pause() {
    let scratch = tempfile::tempdir().unwrap();
    let settings = without_authority(scratch.path());
    let (mut watched, running) = run(settings.clone(), &Arc::new(Challenges::new()));
    let pause = Duration::from_secs(40);
    let has_paused = |told: &Status| {
        let failed = told.last_failure.as_ref().map(|failure| failure.at);
        failed.is_some_and(|at| told.next_attempt > Some(at + pause))
    };
    let told = status(&mut watched, |status| status.failures > 0).await;
    assert!(told.failures == 1 && has_paused(&told), "{told:?}");
    drop(running);

    // With a certificate that is due, the authority is asked about it before anything else is done.
    let issuer = crate::testing::authority("issuer");
    let due = issuer.issue(|params| {
        let now = SystemTime::now();
        params.subject_alt_names = crate::testing::names(&["one.test"]);
        params.not_before = (now - Duration::from_secs(5400)).into();
        params.not_after = (now + Duration::from_secs(600)).into();
    });
    let directory = std::fs::read_dir(scratch.path().join("state")).unwrap().next();
    let file = directory.unwrap().unwrap().path().join("certificate.pem");
    std::fs::write(file, due.chain_pem + &due.key_pem).unwrap();
    let (mut watched, _running) = run(settings, &Arc::new(Challenges::new()));
    assert!(watched.certificate.borrow().is_some());
    let told = status(&mut watched, |status| status.failures > 0).await;
    assert!(told.failures == 1 && has_paused(&told), "{told:?}");
}

/// The settings for an authority that is not there: the port is closed.
fn without_authority(scratch: &Path) -> Settings {
    Settings {
        directory: format!("https://{}/dir", nobody()),
        email: None,
        names: vec!["one.test".to_owned()],
        state_dir: scratch.join("state"),
        root_ca: Some((
            "ca.pem".to_owned(),
            crate::testing::authority("ca").pem.into_bytes(),
        )),
        challenges: vec![ChallengeKind::Http01],
        schedule: Schedule::default(),
    }
}
