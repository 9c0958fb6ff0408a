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
//! | [`result`] | what a build job leaves behind | none |
//! | [`index`] | platform digests → image index, checks, which tags move | none |
//! | [`backend`] | step → command line, files; result ← digest | none |

pub mod diagnostic;
pub mod error;
pub mod oci;

pub mod config;
pub mod plan;

pub mod backend;
pub mod index;
pub mod result;

pub mod process;
pub mod registry;

pub mod commands;

pub use error::{Error, ErrorKind, Result};
