//! The hosts that a step speaks with: which of them by plain HTTP, and the logins for a builder that hephy runs in a
//! container. Of all that a person or a job is signed in to that one gets what the step needs, written out, since the
//! helpers of this machine are not in there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Job;
use super::context::{self, Files};
use super::preflight::target_of;
use crate::backend::{Flavour, Step, StepCache, Tool};
use crate::dockerfile::Meaning;
use crate::error::Result;
use crate::oci::{Reference, is_loopback};
use crate::plan::PlannedImage;

impl Job<'_> {
    /// The directory of the `config.json` that the builder of a step reads. The step speaks with these hosts; `work` is
    /// its own.
    pub(super) fn docker_config(&self, tool: &Tool, hosts: &BTreeSet<String>, work: &Path) -> Result<Option<PathBuf>> {
        let known = || Ok(self.options.docker_config.clone());
        if !matches!(tool.flavour, Flavour::DockerRun { .. }) {
            return known();
        }
        let Some(text) = self.view.logins(hosts)? else { return known() };
        let dir = work.join("docker");
        context::make_dir(&dir)?;
        crate::store::write_with_mode(&dir.join("config.json"), text.as_bytes(), 0o600)?;
        Ok(Some(dir))
    }

    /// What no log may show, the logins of a step among it: where the builder does not isolate, a program of the image
    /// can print them.
    pub(super) fn hidden_with(&self, step: &Step) -> Vec<String> {
        let config = step.docker_config.as_ref().filter(|dir| Some(*dir) != self.options.docker_config.as_ref());
        let text = config.and_then(|dir| std::fs::read_to_string(dir.join("config.json")).ok());
        let mut hidden = self.hidden.clone();
        hidden.extend(crate::registry::secrets_of(&text.unwrap_or_default()));
        hidden
    }

    /// Those that plain HTTP is spoken with: the ones that were named, and of the step's the ones on this machine.
    pub(super) fn insecure_hosts(&self, hosts: &BTreeSet<String>) -> Vec<String> {
        let mut insecure = self.options.insecure_hosts.clone();
        for host in hosts.iter().filter(|host| is_loopback(host)) {
            if !insecure.contains(host) {
                insecure.push(host.clone());
            }
        }
        insecure
    }

    /// The hosts where a step reads and writes images.
    pub(super) fn hosts(
        &self,
        image: &PlannedImage,
        files: &Files,
        build_args: &[(String, String)],
        cache: Option<&StepCache>,
    ) -> BTreeSet<String> {
        let repository = self.plan.repository_of(self.registry, &image.name);
        let mut hosts = self.hosts_of_images(image, files, build_args);
        hosts.extend(repository.split('/').next().map(str::to_owned));
        hosts.extend(cache.map(|cache| cache.host().to_owned()));
        hosts
    }

    /// Where the images that a Dockerfile names come from.
    fn hosts_of_images(
        &self,
        image: &PlannedImage,
        files: &Files,
        build_args: &[(String, String)],
    ) -> BTreeSet<String> {
        let Some(dockerfile) = &files.parsed else { return BTreeSet::new() };
        let Some(references) = self.references(dockerfile, build_args) else { return BTreeSet::new() };
        let host = |meaning| match meaning {
            Ok(Meaning::Image(text)) => Some(Reference::parse(&text).ok()?.repository.host().to_owned()),
            _ => None,
        };
        dockerfile.uses(target_of(image), &references).into_iter().filter_map(|used| host(used.meaning)).collect()
    }
}
