//! The integration suite: one module a stage, real parts only.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod change;
mod support;
