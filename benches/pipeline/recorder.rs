//! Records what hephy starts, so that the same can be started without it, and how long that took.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::measure::{command, run};

/// A program of the same name that stands first in the `PATH`, and what it was called with.
pub(crate) struct Recorder {
    dir: PathBuf,
    program: PathBuf,
    /// The directory that hephy makes for a build and removes afterwards, and the copy that is kept.
    work: (PathBuf, PathBuf),
}

impl Recorder {
    /// In `dir`, a new directory, for `program`; hephy's files of a build are below `work`.
    pub(crate) fn new(dir: PathBuf, program: &Path, work: PathBuf) -> Self {
        let script = format!(
            "#!/bin/sh\nset -e\ncd '{dir}'\nn=$(ls | grep -c args || true)\nprintf '%s\\0' \"$@\" >\"$n.args\"\n\
             env -0 >\"$n.env\"\n[ ! -d '{work}' ] || cp -r '{work}' .\ncd \"$OLDPWD\"\nexec '{program}' \"$@\"\n",
            dir = dir.display(),
            work = work.display(),
            program = program.display(),
        );
        stand_in(&dir, program, &script);
        let kept = dir.join(work.file_name().unwrap());
        Self { program: program.to_owned(), work: (work, kept), dir }
    }

    /// The `PATH` that makes a command find the stand-in.
    pub(crate) fn path(&self) -> OsString {
        path(&self.dir)
    }

    /// Runs again what was recorded and begins with one of `wanted`; gives the whole time.
    pub(crate) fn replay(&self, wanted: &[&str]) -> Duration {
        let calls = (0..).map_while(|number| self.call(number)).filter(|(first, _)| wanted.contains(&first.as_str()));
        let times: Vec<Duration> = calls.map(|(_, mut call)| run(&mut call)).collect();
        assert_eq!(times.len(), wanted.len(), "hephy started something else");
        times.iter().sum()
    }

    fn call(&self, number: usize) -> Option<(String, Command)> {
        let read = |kind: &str| std::fs::read(self.dir.join(format!("{number}.{kind}"))).ok();
        let args: Vec<OsString> = pieces(&read("args")?).map(|piece| self.kept(piece)).collect();
        let mut call = command(&self.program, &self.dir);
        call.args(&args).env_clear();
        for variable in pieces(&read("env")?) {
            let at = variable.iter().position(|byte| *byte == b'=').unwrap();
            call.env(OsString::from_vec(variable[..at].to_vec()), self.kept(&variable[at + 1..]));
        }
        Some((args.first()?.to_string_lossy().into_owned(), call))
    }

    /// With the copy's path instead of the directory's that is gone.
    fn kept(&self, text: &[u8]) -> OsString {
        let (gone, kept) = (self.work.0.as_os_str().as_bytes(), self.work.1.as_os_str().as_bytes());
        match text.windows(gone.len()).position(|part| part == gone) {
            Some(at) => OsString::from_vec([&text[..at], kept, &text[at + gone.len()..]].concat()),
            None => OsString::from_vec(text.to_vec()),
        }
    }
}

/// A program of the same name that stands first in the `PATH`, and takes the time of each call.
pub(crate) struct Stopwatch {
    dir: PathBuf,
}

impl Stopwatch {
    /// In `dir`, a new directory, for `program`.
    pub(crate) fn new(dir: PathBuf, program: &Path) -> Self {
        let script = format!(
            "#!/bin/bash\nstart=$EPOCHREALTIME\n'{program}' \"$@\"\ncode=$?\n\
             printf '%s %s %s\\n' \"$1\" \"$start\" \"$EPOCHREALTIME\" >>'{dir}/calls'\nexit \"$code\"\n",
            program = program.display(),
            dir = dir.display(),
        );
        stand_in(&dir, program, &script);
        Self { dir }
    }

    /// The `PATH` that makes a command find the stand-in.
    pub(crate) fn path(&self) -> OsString {
        path(&self.dir)
    }

    /// How long the calls since the last time took that begin with one of `wanted`.
    pub(crate) fn take(&self, wanted: &[&str]) -> Duration {
        let calls = std::fs::read_to_string(self.dir.join("calls")).unwrap();
        std::fs::remove_file(self.dir.join("calls")).unwrap();
        let seconds = |text: &str| text.replace(',', ".").parse::<f64>().unwrap();
        let times: Vec<f64> = calls
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|call| wanted.contains(&call[0]))
            .map(|call| seconds(call[2]) - seconds(call[1]))
            .collect();
        assert_eq!(times.len(), wanted.len(), "hephy started something else");
        Duration::from_secs_f64(times.iter().sum())
    }
}

/// Puts a script of the program's name into `dir`.
fn stand_in(dir: &Path, program: &Path, script: &str) {
    let stand_in = dir.join("bin").join(program.file_name().unwrap());
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    std::fs::write(&stand_in, script).unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The `PATH` with the scripts of `dir` before everything else.
fn path(dir: &Path) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([dir.join("bin")].into_iter().chain(std::env::split_paths(&rest))).unwrap()
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|piece| !piece.is_empty())
}
