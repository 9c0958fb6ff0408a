//! The `hephy` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    hephy::run(&hephy::cli::Cli::parse())
}
