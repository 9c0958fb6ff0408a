//! hephy builds the container images of a repository, exactly those that changed.
//!
//! The modules are declared in the order in which data flows through a pipeline:
//!
//! | room | does | effects |
//! |---|---|---|
//! | [`error`], [`diagnostic`] | kinds of failure, findings with their places | none |
//! | [`oci`] | digests, platforms, tags, names | none |
//! | [`config`] | `build-config.yaml`, `hephy.yaml` → validated values | none |
//! | [`plan`] | everything that is decided before anything is built | none |
//! | [`backend`] | step → command line, files; result ← digest | none |
//! | [`result`] | what a build job leaves | none |
//! | [`process`] | the only place that starts processes | yes |
//! | [`commands`] | one room a subcommand: gather, decide, act | yes |

pub mod diagnostic;
pub mod error;
pub mod oci;

pub mod config;
pub mod plan;

pub mod backend;
pub mod result;

pub mod process;

pub mod commands;

pub use error::{Error, ErrorKind, Result};
