//! Threat: event files and variables of a hostile or broken CI environment.

use super::{Hephy, one_image};

fn event(content: &[u8]) -> super::Seen {
    let (repo, head) = one_image();
    let scratch = tempfile::tempdir().unwrap();
    let run = Hephy::at(repo.path()).github(scratch.path(), &head, &head);
    std::fs::write(scratch.path().join("event.json"), content).unwrap();
    run.run(&["plan", "--registry", "none"])
}

#[test]
fn event_files_that_decide_are_exact_or_refused() {
    for before in [r#""--upload-pack=x""#, r#""a\nb""#, "5", "[]", "{}", r#""deadbee""#, "1e999999"] {
        event(format!(r#"{{"before": {before}, "repository": {{"default_branch": "main"}}}}"#).as_bytes())
            .refused(2, "error:");
    }
    event(br#"{"before": "a", "before": "b"}"#).refused(2, "malformed");
    event(b"\xff\xfe\0").refused(2, "malformed");
    event(b"").refused(2, "malformed");
    event("[".repeat(5_000_000).as_bytes()).refused(2, "malformed");
    let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(3_000_000), "]".repeat(3_000_000));
    event(deep.as_bytes()).succeeded();
    event(format!(r#"{{"x": "{}"}}"#, "a".repeat(33 << 20)).as_bytes()).refused(3, "more than");
}

#[test]
fn event_files_that_are_none_are_not_waited_for() {
    let (repo, head) = one_image();
    let scratch = tempfile::tempdir().unwrap();
    let pipe = scratch.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let run = |path: &str| {
        let run = Hephy::at(repo.path()).github(scratch.path(), &head, &head).env("GITHUB_EVENT_PATH", path);
        run.run(&["plan", "--registry", "none"])
    };
    for path in [pipe.to_str().unwrap(), "/dev/zero", scratch.path().to_str().unwrap()] {
        run(path).refused(3, "is no regular file");
    }
    run("/nowhere").refused(2, "does not exist");
}
