//! A new file is taken while requests are served, however it comes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, Signal, edition, fixture, wait_until};

use crate::sections::{SERVER, with_plugins};
use crate::swapping::{SWAPPED, Swapping, ask, config, directory, generation, respond};

/// A pause shorter than the one that Pace takes for the end of writing.
const SHORT: Duration = Duration::from_millis(80);

#[test]
fn file_written_in_place_is_taken() {
    let swapping = Swapping::new();
    let mut longest = Duration::ZERO;
    swapping.under_load(|| {
        for number in 2..5 {
            let (file, content) = (swapping.path("plugin.wasm"), respond(number));
            let begun = Instant::now();
            fs::write(file, content).expect("it can be written");
            longest = longest.max(begun.elapsed());
            swapping.wait_for_generation(number.into());
        }
    });
    assert_eq!(swapping.reloads("published"), 3);
    // On a busy machine the file may have been empty for long enough to be read.
    assert!(
        longest > SHORT || swapping.reloads("refused") == 0,
        "half a file was looked at"
    );
}

#[test]
fn renamed_file_is_taken() {
    let swapping = Swapping::new();
    swapping.under_load(|| {
        for number in 2..5 {
            swapping.replace(&respond(number));
            swapping.wait_for_generation(number.into());
        }
    });
    assert_eq!(
        (swapping.reloads("published"), swapping.reloads("refused")),
        (3, 0)
    );
}

#[test]
fn replaced_link_is_followed() {
    let files = directory();
    let link = files.path().join("plugin.wasm");
    for number in 1..4 {
        fs::create_dir(files.path().join(format!("v{number}"))).expect("it can be made");
        let target = files.path().join(format!("v{number}/real.wasm"));
        fs::write(target, respond(number)).expect("it can be written");
    }
    symlink("v1/real.wasm", &link).expect("a link can be made");
    let swapping = Swapping::start(files, &link, "");
    swapping.under_load(|| {
        for number in 2..4 {
            symlink(format!("v{number}/real.wasm"), swapping.path("new")).expect("a link can be made");
            fs::rename(swapping.path("new"), &link).expect("it can be renamed");
            swapping.wait_for_generation(number);
        }
        // The link's new target is written to.
        fs::write(swapping.path("v3/real.wasm"), respond(9)).expect("it can be written");
        swapping.wait_for_generation(4);
    });
}

/// Kubernetes mounts a ConfigMap like this: the file is a link through `..data`, itself a link that is
/// switched.
#[test]
fn switched_directory_is_followed() {
    let files = directory();
    let root = files.path().to_owned();
    let volume = |number: u8| {
        let name = format!("..2026_07_{number:02}");
        fs::create_dir(root.join(&name)).expect("it can be made");
        fs::write(root.join(&name).join("plugin.wasm"), respond(number)).expect("it can be written");
        symlink(&name, root.join("..data_tmp")).expect("a link can be made");
        fs::rename(root.join("..data_tmp"), root.join("..data")).expect("it can be renamed");
    };
    volume(1);
    let link = files.path().join("plugin.wasm");
    symlink("..data/plugin.wasm", &link).expect("a link can be made");
    let swapping = Swapping::start(files, &link, "");
    swapping.under_load(|| {
        for number in 2..4 {
            volume(number);
            swapping.wait_for_generation(number.into());
            fs::remove_dir_all(root.join(format!("..2026_07_{:02}", number - 1))).expect("it is not used");
        }
    });
}

/// SIGHUP and the admin API have the file read at once, without waiting.
#[test]
fn requested_reload_is_immediate() {
    let swapping = Swapping::new();
    swapping.under_load(|| {
        swapping.replace(&respond(2));
        let (status, sentence) = swapping.post("reload");
        assert_eq!(status, 200, "{sentence}");
        assert_eq!(swapping.serving(), 2, "{sentence}");

        swapping.replace(&respond(3));
        let all = swapping.pace.admin().send(&Request::post("/reload", ""));
        assert_eq!((all.status, swapping.serving()), (200, 3), "{all:?}");

        swapping.replace(&respond(4));
        swapping.pace.signal(Signal::HUP);
        swapping.wait_for_generation(4);
    });
    let again = swapping.post("reload");
    assert_eq!(again.0, 200);
    assert!(again.1.contains("generation 4"), "{again:?}");
    assert_eq!(
        swapping.reloads("published"),
        3,
        "the same file is no new generation"
    );
}

#[test]
fn swap_is_logged_and_counted() {
    let swapping = Swapping::new();
    let before = swapping.status();
    assert_eq!(before["previous"], serde_json::Value::Null);
    swapping.replace(&respond(2));
    swapping.wait_for_generation(2);

    let status = swapping.status();
    assert_eq!(status["previous"], 1);
    assert_ne!(status["sha256"], before["sha256"]);
    assert_eq!(status["refused"], serde_json::Value::Null);
    let sha256 = status["sha256"].as_str().expect("it is a text");
    assert_eq!(sha256.len(), 64, "{sha256}");
    swapping
        .pace
        .wait_for_log(&["INFO", SWAPPED, "generation 2 serves", sha256]);
    let metrics = swapping.pace.metrics();
    let of_plugin = [("plugin", SWAPPED)];
    assert_eq!(metrics.sum("pace_plugin_generation", &of_plugin), 2);
    assert_eq!(swapping.reloads("published"), 1);
}

/// Editors and installers touch files without changing them.
#[test]
fn same_content_makes_no_new_generation() {
    let files = directory();
    let path = |name: &str| files.path().join(format!("{name}.wasm"));
    // When the second plugin's file has been read, so has the first's.
    let names = ["first", "second"];
    for name in names {
        fs::write(path(name), respond(1)).expect("it can be written");
    }
    let plugins = names.map(|name| (name, path(name)));
    let plugins = plugins.each_ref().map(|(name, path)| (*name, path.as_path()));
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(SERVER, &plugins, &[&backend]));
    for number in 2..4 {
        // First the time changes, then the file. It is never empty: on a busy machine that could be read.
        let same = OpenOptions::new().write(true).open(path("first"));
        same.and_then(|mut file| file.write_all(&respond(1)))
            .expect("it can be written");
        fs::write(path("second"), respond(number)).expect("it can be written");
        pace.wait_for_generation("second", number.into());
        fs::write(files.path().join("new"), respond(1)).expect("it can be written");
        fs::rename(files.path().join("new"), path("first")).expect("it can be renamed");
    }
    assert_eq!(pace.generation("first"), 1);
    let reloads = pace
        .metrics()
        .sum("pace_plugin_reloads_total", &[("plugin", "first")]);
    assert_eq!(reloads, 0, "nothing was refused either");
}

/// Unpacking an archive restores old times. The content decides.
#[test]
fn older_file_is_taken() {
    let swapping = Swapping::new();
    for (number, time) in [
        (2, SystemTime::UNIX_EPOCH),
        (3, SystemTime::now() + Duration::from_secs(3600)),
    ] {
        let new = swapping.path("new");
        fs::write(&new, respond(number)).expect("it can be written");
        let times = File::options().write(true).open(&new);
        times
            .and_then(|file| file.set_modified(time))
            .expect("it is ours");
        fs::rename(new, swapping.path("plugin.wasm")).expect("it can be renamed");
        swapping.wait_for_generation(number.into());
    }
}

/// A file is taken once, after it has not been written to for a moment.
#[test]
fn file_that_comes_in_pieces_is_taken_once() {
    let swapping = Swapping::new();
    let content = respond(2);
    let mut file = File::create(swapping.path("plugin.wasm")).expect("it can be written");
    let mut last = Instant::now();
    let mut broke_off = false;
    for piece in content.chunks(content.len() / 100) {
        file.write_all(piece).expect("it can be written");
        assert_eq!(swapping.serving(), 1);
        broke_off |= last.elapsed() > SHORT;
        last = Instant::now();
    }
    swapping.wait_for_generation(2);
    assert_eq!(swapping.reloads("published"), 1);
    // On a busy machine a pause may have looked like the end.
    assert!(broke_off || swapping.reloads("refused") == 0);
}

/// A request keeps the generation that it began with, also for the time after the backend's answer.
#[test]
fn request_is_served_by_one_generation() {
    let gate = Gate::new();
    let behind = gate.clone();
    let files = directory();
    let file = files.path().join("plugin.wasm");
    let keeper = fixture("secret-keeper");
    fs::write(&file, edition(&keeper, 1)).expect("it can be written");
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            behind.wait();
        }
        Answer::new("")
    });
    let pace = Pace::with_config(&config(&file, "", &backend));
    let mut slow = pace.client();
    slow.write("GET /slow HTTP/1.1\r\nHost: a\r\nx-debug: 1\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);

    fs::write(&file, edition(&keeper, 2)).expect("it can be written");
    pace.wait_for_generation(SWAPPED, 2);
    assert_eq!(generation(&ask(&mut pace.client(), "/")), 2);
    gate.open();
    let response = slow.read("GET").expect("there is a response");
    assert_eq!(generation(&response), 1, "it began before the swap");
}
