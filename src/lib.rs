//! hephy builds the container images of a repository, exactly those that changed.
//!
//! The modules are declared in the order in which data flows through a pipeline:
//!
//! | room | does | effects |
//! |---|---|---|
//! | [`error`], [`diagnostic`] | kinds of failure, findings with their places | none |
//! | [`oci`] | digests, platforms, tags, names | none |
//! | [`cli`] | what can be typed | none |
//! | [`ci`] | environment and event file → what runs, where, compared with what | none |
//! | [`git`] | trees, blobs, revisions of the repository; a missing base is fetched | runs git |
//! | [`config`] | `build-config.yaml`, `hephy.yaml` → validated values | none |
//! | [`dockerfile`] | stages, arguments and references of a Dockerfile | none |
//! | [`ignorefile`] | `.dockerignore`: which files a builder sees | none |
//! | [`change`] | trees × configurations → input keys, affected images, reasons | none |
//! | [`plan`] | everything that is decided before anything is built | none |
//! | [`lint`] | rules of `hephy check`: images as they are → findings, and what silences them | none |
//! | [`generate`] | plan → job matrices and pipelines of the platforms | none |
//! | [`source`] | upstream clone → deterministic archive; safe unpacking | git, files |
//! | [`backend`] | step → command line, files; result ← digest | none |
//! | [`process`] | starts every process: time limits, signals, logs | processes |
//! | [`store`] | files between jobs: whole or not at all | files |
//! | [`result`] | what a build job leaves behind | none |
//! | [`index`] | platform digests → image index, checks, which tags move | none |
//! | [`registry`] | distribution API: credentials, retries, blobs, manifests, tags | network |
//! | [`forge`] | APIs of the platforms: the last successful pipeline, what changed since a lost commit | network |
//! | [`table`] | tables, sizes and times for people | none |
//! | [`report`] | stdout is data, stderr is talk | stdout, stderr |
//! | [`commands`] | one file a subcommand: gather → decide → act | all of them |

pub mod diagnostic;
pub mod error;
pub mod oci;

pub mod ci;
pub mod cli;
pub mod git;

pub mod config;
pub mod dockerfile;
pub mod ignorefile;

pub mod change;
pub mod lint;
pub mod plan;

pub mod generate;

pub mod source;

pub mod backend;
pub mod process;
pub mod result;
pub mod store;

pub mod index;
pub mod registry;

pub mod forge;

pub mod report;
pub mod table;

pub mod commands;

pub use commands::{main, run};
pub use error::{Error, ErrorKind, Result};
