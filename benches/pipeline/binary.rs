//! The binary itself: how long it takes to start, how large it is, whether it needs anything of the system.

use std::path::Path;
use std::process::Command;

use crate::measure::{Times, command, hephy, run};
use crate::report::{Report, megabytes, milliseconds};

pub(crate) fn measure(report: &mut Report) {
    report.section("binary", "The binary");
    let path = hephy();
    let mut start = Times::default();
    let mut nothing = Times::default();
    for _ in 0..101 {
        start.add(run(command(&path, Path::new("/")).arg("--version")));
        nothing.add(run(&mut command("true", Path::new("/"))));
    }
    let size = std::fs::metadata(&path).unwrap().len();
    report.row(
        &["`hephy --version`, median", "fastest", "`true`, median", "size", "linked", "symbols"],
        &[
            milliseconds(start.median()),
            milliseconds(start.fastest()),
            milliseconds(nothing.median()),
            megabytes(size / 1024),
            if is_static(&path) { "statically" } else { "dynamically" }.into(),
            if is_stripped(&path) { "stripped" } else { "kept" }.into(),
        ],
    );
    report.target("`hephy --version`", "≤ 5 ms", start.fastest().as_secs_f64() * 1000.0, 5.0, " ms");
    report.target("size of the binary", "≤ 15 MiB", size as f64 / f64::from(1 << 20), 15.0, " MiB");
    let whole = is_static(&path) && is_stripped(&path);
    let found = if whole { "static and stripped" } else { "not so" };
    report.fact("the binary needs nothing", "static and stripped", found, whole);
}

/// No program interpreter: nothing of the system is loaded.
fn is_static(path: &Path) -> bool {
    !readelf(path, "--program-headers").contains("INTERP")
}

fn is_stripped(path: &Path) -> bool {
    !readelf(path, "--section-headers").contains(".symtab")
}

fn readelf(path: &Path, what: &str) -> String {
    let output = Command::new("readelf").args([what, "--wide"]).arg(path).output().unwrap();
    assert!(output.status.success(), "readelf could not read {}", path.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
