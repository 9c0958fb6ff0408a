//! The `hephy` command.

fn main() {}
