//! The CI pack: templates, action, workflow, and what they show, run for real.

mod core;
mod emulated;
mod github;
mod gitlab;
mod pages;
