//! Settings that cannot work are refused before anything is sent.

use std::path::Path;
use std::sync::Arc;

use pace_tls::acme::schedule::Schedule;
use pace_tls::acme::{Acme, ChallengeKind, Challenges, Settings};

fn good(state: &Path) -> Settings {
    Settings {
        directory: "https://acme.test/directory".to_owned(),
        email: None,
        names: vec!["one.test".to_owned()],
        state_dir: state.join("state"),
        root_ca: Some((
            "ca.pem".to_owned(),
            crate::testing::authority("ca").pem.into_bytes(),
        )),
        challenges: vec![ChallengeKind::Http01],
        schedule: Schedule::default(),
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    type Change<'a> = &'a dyn Fn(&mut Settings);
    let scratch = tempfile::tempdir().unwrap();
    let refusal = |change: Change<'_>| {
        let mut settings = good(scratch.path());
        change(&mut settings);
        Acme::open(settings, Arc::new(Challenges::new()))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let cases: [(Change<'_>, &str); 8] = [
        (
            &|settings| settings.directory = "http://acme.test/".to_owned(),
            "acme directory \"http://acme.test/\": must begin with https://",
        ),
        (
            &|settings| settings.directory = "acme".to_owned(),
            "acme directory \"acme\": must begin with https://",
        ),
        (
            &|settings| settings.directory = "https://".to_owned(),
            "acme directory \"https://\": not a URL",
        ),
        (&|settings| settings.names.clear(), "acme names: empty"),
        (
            &|settings| settings.names.push("*.one.test".to_owned()),
            "acme names: \"*.one.test\": a wildcard has to be proven over DNS",
        ),
        (
            &|settings| settings.names.push("a b".to_owned()),
            "acme names: \"a b\": not a host name",
        ),
        (
            &|settings| settings.challenges.clear(),
            "acme: names are proven over HTTP or over TLS",
        ),
        (
            &|settings| settings.root_ca = Some(("ca.pem".to_owned(), Vec::new())),
            "acme root_ca: ca.pem: has no certificate",
        ),
    ];
    for (change, expected) in cases {
        let refused = refusal(change);
        assert!(refused.starts_with(expected), "{refused}");
    }
    Acme::open(good(scratch.path()), Arc::new(Challenges::new())).unwrap();
}

#[test]
fn directory_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let settings = good(scratch.path());
    std::fs::create_dir(&settings.state_dir).unwrap();
    std::fs::set_permissions(&settings.state_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Acme::open(settings, Arc::new(Challenges::new()))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("acme state_dir: ") && refused.contains("(mode 0755): chmod 700 "),
        "{refused}"
    );
}
