//! The `hephy` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hephy::main()
}
