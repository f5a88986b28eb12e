//! The trash over time: scenarios of TestTrash's emptier.

use super::*;

const MINUTE: u64 = 60_000;

fn with_trash(interval_ms: u64, checkpoint_ms: u64) -> Script {
    let settings = CoreSettings {
        trash_interval_ms: interval_ms,
        trash_checkpoint_ms: checkpoint_ms,
        ..settings()
    };
    Script::with(settings, State::new("root", "supergroup"))
}

fn entries(s: &mut Script, path: &str) -> Vec<String> {
    let operation = Operation::GetListing {
        path: path.to_owned(),
        start_after: String::new(),
        need_locations: false,
    };
    match s.call(operation).unwrap() {
        Reply::Listing(Some((entries, _))) => entries.into_iter().map(|entry| entry.name).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn deleted_files_are_set_aside_and_gone_after_the_interval() {
    let mut s = with_trash(10 * MINUTE, 5 * MINUTE);
    s.register(1..=1);
    s.write("/user/ann/.Trash/Current/f", 1, 5);
    s.call(mkdirs("/user/bob/.Trash")).unwrap();
    s.call(mkdirs("/elsewhere/.Trash/Current")).unwrap();
    // The clock begins at 1,000 s: the next multiple of five minutes is 1,200 s.
    s.pass(199_000);
    assert_eq!(entries(&mut s, "/user/ann/.Trash"), ["Current"]);
    s.pass(1_000);
    assert_eq!(entries(&mut s, "/user/ann/.Trash"), ["700101002000"]);
    assert_eq!(
        entries(&mut s, "/elsewhere/.Trash"),
        ["Current"],
        "only homes have a trash"
    );
    s.pass(5 * MINUTE);
    assert_eq!(entries(&mut s, "/user/ann/.Trash").len(), 1, "kept for the interval");
    s.pass(10 * MINUTE + 1_000);
    assert_eq!(entries(&mut s, "/user/ann/.Trash"), [""; 0]);
    assert_eq!(s.core.state().blocks.count(), 0, "with its blocks");
    assert_eq!(
        s.restarted().core.state().namespace.count(),
        s.core.state().namespace.count()
    );
}

#[test]
fn without_an_interval_nothing_is_touched() {
    let mut s = with_trash(0, MINUTE);
    s.call(mkdirs("/user/ann/.Trash/Current")).unwrap();
    s.pass(20 * MINUTE);
    assert_eq!(entries(&mut s, "/user/ann/.Trash"), ["Current"]);
}

#[test]
fn many_homes_take_several_ticks() {
    let mut s = with_trash(MINUTE, 0);
    for n in 0..50 {
        s.call(mkdirs(&format!("/user/u{n}/.Trash/Current"))).unwrap();
    }
    s.pass(2 * MINUTE);
    for n in 0..50 {
        assert_ne!(entries(&mut s, &format!("/user/u{n}/.Trash")), ["Current"], "u{n}");
    }
}
