//! The `hephy` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match hephy::cli::Cli::try_parse() {
        Ok(cli) => hephy::run(&cli),
        Err(refused) => hephy::commands::refuse(&refused, std::env::args_os()),
    }
}
