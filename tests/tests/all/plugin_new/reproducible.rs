//! Builds of plugins in Python give the same bytes each time.

use std::fs;
use std::thread;

use pace_tests::fixture;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::build::Project;
use super::{command, succeeds};

/// The answers of the system that would be in the snapshot of an interpreter are the same in each build.
#[test]
fn python_is_built_in_a_world_that_is_the_same_each_time() {
    let made =
        "cp \"$fixture\" \"$made\"\nmkdir -p lib/__pycache__ .hidden\ntouch lib/zeta.py lib/alpha.py\n";
    let said = |commands: &str| {
        let project = Project::with_tool("python", &format!("{made}{commands}"));
        succeeds(project.place.path(), &["build", "mine"]).stderr
    };
    let files = "exec ls -U -a -i -l --time-style=+%s . lib";
    let listed = said(files);
    assert_eq!(listed, said(files));
    assert!(listed.contains(" 315532800 alpha.py\n"), "{listed}");
    let names = ["plugin.py\n", "tests\n", "lib:\n", "alpha.py\n", "zeta.py\n"].map(|name| listed.find(name));
    assert!(names.iter().all(Option::is_some) && names.is_sorted(), "{listed}");
    for made in [".venv", ".hidden", "build", "plugin.wasm", "__pycache__"] {
        assert!(!listed.contains(&format!(" {made}\n")), "{made}: {listed}");
    }
    assert_eq!(said("exec date +%s"), "315532800\n");
}

/// Signals, processes that the tool starts and its end are what they are without a trace.
#[test]
fn traced_tool_runs_as_any_other() {
    let run = |commands: &str| Project::with_tool("python", &format!("echo ran >> ran\n{commands}"));
    let project = run("trap 'caught=1' 35\n(exec kill -35 $$)\ntest $caught && (cp \"$fixture\" \"$made\")");
    succeeds(project.place.path(), &["build", "mine"]);
    assert_eq!(project.read("ran"), b"ran\n", "the build was made again");
    for ends in ["exit 7", "kill -TERM $$", "kill -35 $$"] {
        let project = run(ends);
        let said = project.fails();
        assert!(said.contains("failed: what it said is above"), "{said}");
        assert_eq!(project.read("ran"), b"ran\n", "{ends}: the build was made again");
    }
}

/// Where the tool cannot be traced the build is made all the same, and says so.
#[test]
fn python_is_built_where_nothing_can_be_traced() {
    let project = Project::with_tool("python", "cp \"$fixture\" \"$made\"");
    let build = thread::scope(|scope| {
        // The filter is that of the thread, and of the processes that it starts.
        let refused = scope.spawn(|| {
            let rules = [(libc::SYS_ptrace, Vec::new())].into();
            let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64);
            let filter = filter.and_then(BpfProgram::try_from).expect("it is well-formed");
            apply_filter(&filter).expect("everybody may");
            command(project.place.path(), &["build", "mine"]).run()
        });
        refused.join().expect("it does not panic")
    });
    assert_eq!(build.code, Some(0), "{build:#?}");
    assert!(
        build
            .stderr
            .contains("The next build will give other bytes, because the tool cannot be traced here: "),
        "{build:#?}"
    );
    assert!(project.plugin() == fs::read(fixture("no-op")).expect("it has been built"));
}
