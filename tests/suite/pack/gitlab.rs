//! The GitLab pack, run for real: gitlab-ci-local runs the template with hephy, Buildah and a registry. What it hides
//! (rules before prepare, needs of other pipelines, permissions, reports) is asserted on the YAML.

mod bad_input;
mod component;
mod events;
mod fan_out;
mod hostile;
mod template;
pub(super) mod world;

pub(super) use template::NO_TAG;
