//! hephy builds the container images of a repository, exactly those that changed.
//!
//! The modules are declared in the order in which data flows through a pipeline:
//!
//! | room | does | effects |
//! |---|---|---|
//! | [`error`], [`diagnostic`] | kinds of failure, findings with their places | none |
//! | [`oci`] | digests, platforms, tags, names | none |
//! | [`ci`] | environment and event file → what runs, where, compared with what | none |
//! | [`git`] | trees, blobs, revisions of the repository; a missing base is fetched | runs git |
//! | [`config`] | `build-config.yaml`, `hephy.yaml` → validated values | none |
//! | [`change`] | trees × configurations → input keys, affected images, reasons | none |
//! | [`plan`] | everything that is decided before anything is built | none |
//! | [`source`] | upstream clone → deterministic archive; safe unpacking | git, files |
//! | [`result`] | what a build job leaves behind | none |
//! | [`index`] | platform digests → image index, checks, which tags move | none |
//! | [`backend`] | step → command line, files; result ← digest | none |

pub mod cli;
pub mod diagnostic;
pub mod error;
pub mod oci;

pub mod ci;
pub mod git;

pub mod config;
pub mod dockerfile;

pub mod change;
pub mod plan;

pub mod source;

pub mod backend;
pub mod index;
pub mod result;

pub mod commands;
pub mod process;
pub mod report;
pub mod table;
pub mod registry;

pub mod commands;

pub use error::{Error, ErrorKind, Result};
