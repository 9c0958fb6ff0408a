//! Signals before anything was begun.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Project;

/// A git that takes questions about objects and never answers: whatever takes long there takes longer than this test.
fn mute_git(project: &Project) -> String {
    let bin = project.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let mark = project.home.path().join("asked");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *cat-file*) : > '{}'; exec cat >/dev/null ;; esac\nPATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"\n",
        mark.display()
    );
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display())
}

#[test]
fn a_signal_during_the_survey_ends_the_run_at_once() {
    for (command, signal) in [("prepare", Signal::TERM), ("run", Signal::INT), ("plan", Signal::TERM)] {
        let project = Project::with(&["a"]);
        let path = mute_git(&project);
        let running = project.hephy([command, "--all"]).env("PATH", path).start();
        let until = Instant::now() + Duration::from_secs(60);
        while !project.home.path().join("asked").exists() {
            assert!(Instant::now() < until, "git was never asked");
            std::thread::sleep(Duration::from_millis(10));
        }
        let sent = Instant::now();
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!(outcome.code, 130, "{command}: {outcome}");
        assert!(sent.elapsed() < Duration::from_secs(2), "{command}: {:?}", sent.elapsed());
        assert!(!project.path(".hephy").exists(), "{command}");
    }
}
