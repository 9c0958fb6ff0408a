//! The model test: thousands of random repositories, histories and edits, in which hephy's plan is compared with what
//! BuildKit itself would see of both checkouts. An image is in the plan if and only if that changed.
//!
//! A case is one repository with a random history; each has several comparisons, made the way that CI systems and
//! developers make them ([`runs::Mode`]). What counts beside what a build sees is listed in [`judge::EXCEPTIONS`], and
//! what does not although a build sees it is `README.md` and `ignore`.
//!
//! A failure prints its seed and the smallest repository that shows it. `HEPHY_MODEL_SEED=N` runs that case alone,
//! `HEPHY_MODEL_CASES=N` and `HEPHY_MODEL_FIRST=N` run others:
//!
//! ```sh
//! HEPHY_MODEL_CASES=5000 cargo test --test suite model::range -- --nocapture
//! ```

mod branch;
mod chain;
mod edits;
mod features;
mod files;
mod generate;
mod history;
mod judge;
mod known;
mod lies_on;
mod lineage;
mod oracle;
mod pipeline;
mod published;
mod random;
mod range;
mod runs;
mod shrink;
mod stages;
mod travels;
mod truth;
mod world;
mod written;

/// A number of the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}
