//! Measures the targets of speed and size. `hack/bench` runs this and keeps what it prints.
//!
//! `cargo bench --bench pipeline -- [NAME…]` runs all measurements or those that are named; `--out FILE` writes the
//! report there too. Times are comparisons: what hephy is compared with runs alternately with it, on the same
//! machine, in the same minute. Absolute figures say something about the machine only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, unreachable_pub, missing_docs)]

mod archive;
mod binary;
mod build;
mod cache;
mod gitlab;
mod jobs;
mod manifest;
mod measure;
mod plan;
mod project;
mod published;
mod recorder;
mod report;
mod stale;
/// Registries, builders and the proxy are those of the suite.
#[path = "../../tests/suite/support/mod.rs"]
#[allow(dead_code)]
mod support;

use report::Report;

type Measurement = (&'static str, fn(&mut Report));

const MEASUREMENTS: &[Measurement] = &[
    ("plan", plan::measure),
    ("published", published::measure),
    ("archive", archive::measure),
    ("build", build::measure),
    ("cache", cache::measure),
    ("jobs", jobs::measure),
    ("manifest", manifest::measure),
    ("stale", stale::measure),
    ("binary", binary::measure),
];

fn main() {
    let mut names = Vec::new();
    let mut out = None;
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--out" => out = args.next(),
            name if MEASUREMENTS.iter().any(|(known, _)| *known == name) => names.push(arg),
            other => {
                let known: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
                eprintln!("there is no measurement `{other}`; there are {}", known.join(", "));
                std::process::exit(2);
            }
        }
    }
    let mut report = Report::default();
    for (name, measure) in MEASUREMENTS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            measure(&mut report);
        }
    }
    let text = report.markdown();
    println!("{text}");
    if let Some(out) = out {
        std::fs::write(out, text).unwrap();
    }
}
