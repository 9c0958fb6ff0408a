//! The `hephy` command: parse, run, exit code.

use std::process::ExitCode;

/// A plan makes millions of small values on all cores, which the C library's allocator serves slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hephy::main()
}
