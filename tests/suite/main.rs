//! The integration suite: one module a stage, real parts only.

mod build;
mod support;
