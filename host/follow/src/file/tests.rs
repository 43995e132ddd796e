//! Tests of one file, in simulated time.

use std::fs;
use std::time::SystemTime;

use super::*;

/// A followed file, in simulated time.
struct Case {
    file: tempfile::NamedTempFile,
    start: Instant,
    followed: Followed,
}

impl Case {
    fn taken(content: &str) -> Case {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let start = Instant::now();
        let mut case = Case {
            file,
            start,
            followed: Followed::default(),
        };
        case.write(content);
        case.followed.take(case.file.path(), start);
        case
    }

    fn write(&self, content: &str) {
        fs::write(self.file.path(), content).expect("it is ours");
    }

    fn set_time(&self, time: SystemTime) {
        self.file.as_file().set_modified(time).expect("it is ours");
    }

    fn look(&mut self, millis: u64) -> Seen {
        let now = self.start + Duration::from_millis(millis);
        self.followed.look(self.file.path(), now)
    }
}

const WRITTEN: Seen = Seen::Writing { pausing_in: PAUSING };

#[test]
fn file_is_written_then_pauses_then_is_quiet() {
    let millis = Duration::from_millis;
    let writing = |pausing_in| Some(Seen::Writing { pausing_in });
    let pausing = |quiet_in| Some(Seen::Pausing { quiet_in });
    let expected = [
        (millis(0), writing(millis(20))),
        (millis(19), writing(millis(1))),
        (millis(20), pausing(millis(80))),
        (millis(99), pausing(millis(1))),
        (millis(100), None),
        (Duration::MAX, None),
    ];
    for (age, seen) in expected {
        assert_eq!(Seen::not_quiet(age), seen, "{age:?}");
    }
}

/// The file's own time does not count: that of a just emptied file may seem to be long ago, or in the future.
#[test]
fn file_of_any_modification_time_is_quiet_after_a_while_unchanged() {
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    for time in [SystemTime::UNIX_EPOCH, tomorrow] {
        let mut case = Case::taken("");
        assert_eq!(case.look(0), Seen::Same);
        case.write("1");
        case.set_time(time);
        assert_eq!(case.look(0), WRITTEN);
        assert!(!case.followed.is_settled());
        let almost = Seen::Pausing {
            quiet_in: Duration::from_millis(1),
        };
        assert_eq!(case.look(99), almost);
        case.write("1, and more");
        case.set_time(time);
        assert_eq!(case.look(100), WRITTEN, "it is another again");
        assert_eq!(case.look(200), Seen::Changed);
        assert_eq!(case.look(200), Seen::Same);
        assert!(case.followed.is_settled());
    }
}

#[test]
fn missing_file_is_not_waited_for() {
    let mut case = Case::taken("1");
    fs::remove_file(case.file.path()).expect("it is there");
    assert_eq!(case.look(0), Seen::Changed);
    assert_eq!(case.look(0), Seen::Same);
    case.write("1");
    assert_eq!(case.look(1), WRITTEN);
    assert_eq!(case.look(101), Seen::Changed, "it could not be read in between");
}

#[test]
fn file_with_new_time_and_same_content_is_touched() {
    let mut case = Case::taken("1");
    assert_eq!(case.look(2000), Seen::Same);
    case.write("1");
    case.set_time(SystemTime::UNIX_EPOCH);
    assert_eq!(case.look(2000), WRITTEN);
    assert_eq!(case.look(2100), Seen::Touched);
    assert_eq!(case.look(2100), Seen::Same);
    case.write("2");
    assert_eq!(case.look(5000), WRITTEN);
    assert_eq!(case.look(5100), Seen::Changed);
}

/// The caller may have read the content in between.
#[test]
fn file_changed_and_restored_while_read_is_reported_again() {
    let mut case = Case::taken("1");
    case.write("2");
    case.write("1");
    case.set_time(SystemTime::UNIX_EPOCH);
    assert_eq!(case.look(0), WRITTEN);
    assert_eq!(case.look(100), Seen::Changed);

    assert_eq!(case.look(2100), Seen::Same);
    case.followed.peek(case.file.path(), case.start + TICK);
    case.write("1");
    case.set_time(SystemTime::now());
    assert_eq!(case.look(2200), WRITTEN);
    assert_eq!(case.look(2300), Seen::Changed);
}

/// The test acts as if the file had been written twice within one tick of the clock that stamps it.
#[test]
fn new_content_with_the_same_stamp_is_found_after_a_tick() {
    let mut case = Case::taken("1");
    let before = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let taken = case.followed.taken.as_mut().expect("it has been taken");
    taken.digest = Digest::of(before.path());
    assert_eq!(case.look(1999), Seen::Same);
    assert_eq!(case.look(2000), Seen::Changed);
    for millis in [2001, 4000, 6000] {
        assert_eq!(case.look(millis), Seen::Same);
    }
}

#[test]
fn unknown_file_is_reported_once_quiet() {
    let mut case = Case::taken("1");
    case.followed = Followed::default();
    assert_eq!(case.look(0), WRITTEN);
    assert_eq!(case.look(100), Seen::Changed);
    assert_eq!(case.look(100), Seen::Same);
}

#[test]
fn pending_change_is_reported_after_a_peek_and_not_after_a_take() {
    let mut case = Case::taken("1");
    case.write("2 and more");
    assert_eq!(case.look(0), WRITTEN);
    case.followed.peek(case.file.path(), case.start);
    assert_eq!(case.look(100), Seen::Changed);
    case.write("3");
    assert_eq!(case.look(100), WRITTEN);
    case.followed.take(case.file.path(), case.start);
    assert_eq!(case.look(200), Seen::Same);
}
