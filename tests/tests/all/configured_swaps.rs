//! Swapped files and changed configurations together: both hold, whichever came last.

use std::fs;

use pace_tests::{HttpBackend, Pace, Setup, edition, fixture, wait_until};
use serde_json::Value;

use crate::sections::{SERVER, plugin, pool, with_plugins};
use crate::swapping::{SWAPPED, Swapping, directory, reconfigure, respond};

/// Two generations have served, and the configuration gets these keys.
fn second_with(keys: &str) -> Swapping {
    let swapping = Swapping::new();
    swapping.replace(&respond(2));
    swapping.wait_for_generation(2);
    let (status, sentence) = add(&swapping, keys);
    assert_eq!(status, 200, "{sentence}");
    swapping
}

/// Adds keys to the plugin's table.
fn add(swapping: &Swapping, keys: &str) -> (u16, String) {
    reconfigure(&swapping.pace, |text| {
        text.replacen("\n[[pools]]", &format!("{keys}\n\n[[pools]]"), 1)
    })
}

/// Requests a rollback, which is refused for a reason with these words.
fn stays(swapping: &Swapping, words: &[&str]) {
    let before = swapping.serving();
    let (status, sentence) = swapping.post("rollback");
    assert_eq!(status, 409, "{sentence}");
    for word in words {
        assert!(sentence.contains(word), "{word} in {sentence}");
    }
    assert_eq!(swapping.serving(), before);
    assert_eq!(swapping.reloads("rolled-back"), 0);
}

#[test]
fn rollback_to_a_file_that_is_not_pinned_is_refused() {
    let first = Swapping::new().status()["sha256"].clone();
    let second = Swapping::with(&respond(2), "").status()["sha256"].clone();
    let swapping = second_with(&format!("sha256 = {second}"));
    assert_eq!(swapping.serving(), 2, "what serves is what is pinned");
    let hashes = [&first, &second].map(|sha256| sha256.as_str().expect("it is a text"));
    stays(
        &swapping,
        &[
            "generation 2 cannot give way to 1",
            "asks for sha256",
            hashes[0],
            hashes[1],
        ],
    );
}

#[test]
fn rollback_uses_the_present_limits() {
    let first = Swapping::new().status()["sha256"].clone();
    let swapping = second_with("limits = { body_kb = 0 }");
    assert_eq!(swapping.serving(), 3, "other limits are another generation");
    let status = || swapping.pace.get("/respond").status;
    assert_eq!(status(), 503, "its answer has a body");

    let (code, sentence) = swapping.post("rollback");
    assert_eq!(code, 200, "{sentence}");
    for words in ["generation 1 serves again as generation 4", "the settings of now"] {
        assert!(sentence.contains(words), "{words} in {sentence}");
    }
    assert_eq!((swapping.serving(), status()), (4, 503));
    assert_eq!(swapping.status()["sha256"], first, "the code is the first");
}

#[test]
fn rollback_to_another_isolation_is_refused() {
    let swapping = second_with("isolation = \"request\"");
    assert_eq!(swapping.serving(), 3);
    stays(
        &swapping,
        &[
            "generation 3 cannot give way to 1",
            "`isolation`",
            "put its file back",
        ],
    );
}

#[test]
fn rollback_to_an_unfit_generation_is_refused() {
    let trap = fs::read(fixture("trap")).expect("it has been built");
    let swapping = Swapping::with(
        &respond(1),
        "rollback = { calls = 50, failures_percent = 1 }\nbreaker = { failures = 0 }",
    );
    swapping.replace(&trap);
    swapping.wait_for_generation(2);
    wait_until("it to be given up", || {
        swapping.pace.get("/misbehave");
        swapping.status()["generation"] == 1
    });
    assert_eq!(
        swapping.status()["previous"],
        Value::Null,
        "there is no way to it"
    );
    let (status, sentence) = swapping.post("rollback");
    assert_eq!(status, 409, "{sentence}");
    assert!(sentence.contains("generation 2 was unfit"), "{sentence}");
    assert_eq!(swapping.serving(), 1);

    // A reload asks for the file, even if its generation was unfit.
    let (status, sentence) = swapping.post("reload");
    assert_eq!((status, swapping.serving()), (200, 3), "{sentence}");
}

/// The file on the disk may be broken meanwhile: other settings are for the program that serves.
#[test]
fn changed_settings_do_not_need_the_file() {
    let swapping = Swapping::new();
    let sha256 = swapping.status()["sha256"].clone();
    swapping.replace(b"This is a text.");
    swapping.wait_for_refusal(&["not WebAssembly"]);
    let (_, sentence) = add(&swapping, "limits = { body_kb = 0 }");
    assert!(
        sentence.contains("the configuration has been taken") && sentence.contains("generation 2 serves"),
        "{sentence}"
    );
    assert_eq!(swapping.serving(), 2);
    assert_eq!(swapping.status()["sha256"], sha256);
    assert_eq!(swapping.pace.get("/respond").status, 503, "a body is too much");
    let reason = swapping.status()["refused"]["reason"].to_string();
    assert!(
        reason.contains("not WebAssembly"),
        "the file is as bad as before: {reason}"
    );
}

#[test]
fn refused_configuration_is_tried_again_when_its_file_is_mended() {
    let files = directory();
    let file = files.path().join("late.wasm");
    let backend = HttpBackend::named("one");
    let config = |plugins: &[_]| with_plugins(SERVER, plugins, &[&backend]);
    let pace = Pace::with_config(&config(&[]));
    let config = config(&[("late", file.as_path())]);

    fs::write(&file, "half of it").expect("it can be written");
    let (status, sentence) = reconfigure(&pace, |_| config);
    assert_eq!(status, 409, "{sentence}");
    for part in ["`late`", "late.wasm", "not WebAssembly", "the old one serves on"] {
        assert!(sentence.contains(part), "{part} in {sentence}");
    }
    assert_eq!(pace.get("/respond").text(), "one");

    // The configuration is neither changed nor asked to be read.
    fs::write(&file, respond(1)).expect("it can be written");
    wait_until("the configuration to be taken", || {
        pace.get("/respond").status == 418
    });
    pace.wait_for_log(&["INFO", "the configuration has been taken", "`late`"]);
    assert_eq!(pace.generation("late"), 1);
}

#[test]
fn configuration_that_the_plugin_refuses_is_not_taken() {
    let backend = HttpBackend::named("one");
    let limit = |max: u32| {
        format!(
            "{SERVER}\n[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
             config = {{ max_requests = {max} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n",
            pool("web", &[&backend])
        )
    };
    let pace = Pace::with_config(&limit(2));
    let (status, sentence) = reconfigure(&pace, |_| limit(0));
    assert_eq!(status, 409, "{sentence}");
    for part in [
        "plugin `limit` (builtin:rate-limiter): ",
        "max_requests",
        "the old one serves on",
    ] {
        assert!(sentence.contains(part), "{part} in {sentence}");
    }
    assert_eq!(
        pace.plugin("limit")["refused"],
        Value::Null,
        "there is nothing wrong with its file"
    );
    let statuses = [(); 3].map(|()| pace.get("/").status);
    assert_eq!(statuses, [200, 200, 429], "the old limit holds");

    // With a configuration that it accepts it is the same generation, and its counts stay.
    assert_eq!(reconfigure(&pace, |_| limit(3)).0, 200);
    let statuses = [(); 2].map(|()| pace.get("/").status);
    assert_eq!(statuses, [200, 429]);
    assert_eq!(pace.generation("limit"), 1);
}

/// The message names the route, of which there may be many.
#[test]
fn refusal_of_a_routes_configuration_names_the_route() {
    let backend = HttpBackend::named("one");
    let strict = |max: u32| {
        format!(
            "{SERVER}\n{}config = {{ max_requests = 2 }}\n\n{}\n\
             [[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n\n\
             [[routes]]\nname = \"strict\"\nmatch = {{ path_prefix = \"/strict\" }}\npool = \"web\"\n\
             plugins = [{{ use = \"limit\", config = {{ max_requests = {max} }} }}]\n",
            plugin("limit", "builtin:rate-limiter".as_ref()),
            pool("web", &[&backend])
        )
    };
    let at_start = Setup::new().config(&strict(0)).run();
    let pace = Pace::with_config(&strict(1));
    let (status, while_serving) = reconfigure(&pace, |_| strict(0));
    assert_eq!(status, 409, "{while_serving}");
    for said in [at_start.refusal(), &while_serving] {
        let words = "plugin `limit` (builtin:rate-limiter): with the configuration of route `strict`: ";
        assert!(said.contains(words) && said.contains("max_requests"), "{said}");
    }
    // The plugin's own configuration is named only by the plugin's own entry.
    let (_, said) = reconfigure(&pace, |_| {
        strict(1).replace("max_requests = 2", "max_requests = 0")
    });
    assert!(said.contains("(builtin:rate-limiter): "), "{said}");
    assert!(!said.contains("with the configuration of route"), "{said}");
}

#[test]
fn counts_of_a_removed_plugin_are_forgotten() {
    let backend = HttpBackend::named("one");
    let limiter = |name: &str| {
        format!(
            "{}config = {{ max_requests = 1 }}\n",
            plugin(name, "builtin:rate-limiter".as_ref())
        )
    };
    let route = |prefix: &str, plugins: &str| {
        format!("[[routes]]\nmatch = {{ path_prefix = {prefix:?} }}\npool = \"web\"\nplugins = [{plugins}]\n")
    };
    let (goes, stays) = (limiter("goes"), limiter("stays"));
    let pool = pool("web", &[&backend]);
    // A route's own configuration has a window of its own, which goes with the plugin, too.
    let own = "{ use = \"stays\", config = { max_requests = 1, window_seconds = 50 } }";
    let both = format!(
        "{SERVER}\n{goes}{stays}{pool}{}{}{}",
        route("/goes", "\"goes\""),
        route("/stays", "\"stays\""),
        route("/own", own)
    );
    let one = format!("{SERVER}\n{stays}{pool}{}", route("/stays", "\"stays\""));

    let pace = Pace::with_config(&both);
    let ask = || ["/goes", "/stays", "/own"].map(|path| pace.get(path).status);
    assert_eq!(ask(), [200; 3]);
    assert_eq!(ask(), [429; 3]);
    let series = |plugin| {
        let name = format!("plugin=\"{plugin}\"");
        pace.admin().get("/metrics").text().matches(&name).count()
    };
    assert_eq!((series("goes"), series("stays") > 0), (series("stays"), true));
    assert_eq!(reconfigure(&pace, |_| one).0, 200);
    wait_until("its series to be gone", || series("goes") == 0);
    assert!(series("stays") > 0);
    assert_eq!(pace.get("/stays").status, 429);
    assert_eq!(reconfigure(&pace, |_| both.clone()).0, 200);
    let [goes, stays, own] = ask();
    assert_eq!(stays, 429, "it was there all the time");
    assert_eq!(goes, 200, "it begins anew");
    assert_eq!(
        own, 429,
        "the plugin stayed, and so did what it counted for any route"
    );
}

/// A plugin that is removed and comes back starts with new counters, although the program is the same.
#[test]
fn plugin_that_comes_back_begins_with_generation_1() {
    let files = directory();
    let file = files.path().join("plugin.wasm");
    fs::write(&file, edition(&fixture("respond"), 1)).expect("it can be written");
    let backend = HttpBackend::named("one");
    let with = with_plugins(SERVER, &[(SWAPPED, &file)], &[&backend]);
    let without = with_plugins(SERVER, &[], &[&backend]);
    let pace = Pace::with_config(&with);
    fs::write(&file, respond(2)).expect("it can be written");
    pace.wait_for_generation(SWAPPED, 2);
    assert_eq!(reconfigure(&pace, |_| without).0, 200);
    assert_eq!(pace.get("/respond").text(), "one");
    assert_eq!(reconfigure(&pace, |_| with).0, 200);
    assert_eq!(pace.get("/respond").status, 418);
    let status = pace.plugin(SWAPPED);
    assert_eq!(
        (&status["generation"], &status["previous"]),
        (&1.into(), &Value::Null)
    );
}
