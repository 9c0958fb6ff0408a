//! The integration suite: one module a stage, real parts only.

mod source;
