//! The integration suite: one module a stage, real parts only.

mod change;
mod check;
mod config;
mod manifest;
mod registry;
mod source;
mod support;
