//! The Docker engine: `docker build`, then `docker push`.

use super::{Backend, Invocation, Said, Step, Tool, no_report, parse_report, refuse_annotations};
use crate::config::BackendName;
use crate::error::Result;
use crate::oci::Digest;

pub(super) struct Docker;

impl Backend for Docker {
    fn name(&self) -> BackendName {
        BackendName::Docker
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        refuse_annotations(self.name(), step)?;
        super::secret::refuse(self.name(), "", step)?;
        Ok(vec![build(tool, step), push(tool, step)])
    }

    /// The last line of a push is `<tag>: digest: sha256:… size: 1234`, on stdout, whatever the locale.
    fn digest(&self, step: &Step, _: &dyn Fn(&str) -> Option<Vec<u8>>, output: &str) -> Result<Digest> {
        let prefix = format!("{}: digest: ", step.tag);
        let report = output
            .lines()
            .rev()
            .find_map(|line| line.trim_end().strip_prefix(&prefix)?.split_once(" size: "))
            .ok_or_else(|| no_report(self.name()))?;
        parse_report(self.name(), report.0)
    }

    fn annotates(&self, _: &Tool) -> bool {
        false
    }

    /// `Step 3/4 : RUN make` of the engine's own builder, or BuildKit's `Dockerfile:12`.
    fn said(&self, line: &str) -> Option<Said> {
        match line.strip_prefix("Step ") {
            Some(rest) => Said::instruction(rest.split_once(" : ")?.1),
            None => super::instruction::file_and_line(line),
        }
    }

    fn install_hint(&self) -> &'static str {
        "apt-get install docker.io, and make its engine reachable (DOCKER_HOST)"
    }
}

fn build(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    invocation.arg("build").option("--file", &step.dockerfile);
    invocation.option("--platform", step.platform.to_string()).option("--tag", step.destination());
    // What the registry has, never a namesake that an earlier build left in the engine.
    invocation.arg("--pull");
    if step.anew {
        invocation.arg("--no-cache");
    }
    invocation.docker_options(step);
    invocation.arg("--").arg(&step.context);
    invocation.env("BUILDKIT_PROGRESS", "plain").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1").docker_config(step);
    invocation
}

fn push(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    invocation.arg("push").arg("--").arg(step.destination()).docker_config(step);
    invocation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{args, step, tool};

    fn plain_step() -> Step {
        Step { annotations: std::collections::BTreeMap::new(), ..step() }
    }

    #[test]
    fn build_and_push_get_exactly_this() {
        let invocations = Docker.invocations(&tool("/usr/bin/docker"), &plain_step()).unwrap();
        assert_eq!(
            args(&invocations[0]),
            [
                "build",
                "--file=/src/-a, b/-Dockerfile",
                "--platform=linux/arm/v7",
                "--tag=127.0.0.1:5000/acme:app-20251015-armv7",
                "--pull",
                "--target=--target",
                "--build-arg=A=--b c=d,e\"f",
                "--build-arg=EMPTY=",
                "--label=-l=--x=y, \"z\"",
                "--",
                "/src/-a, b",
            ]
        );
        let anew = Docker.invocations(&tool("/usr/bin/docker"), &Step { anew: true, ..plain_step() }).unwrap();
        assert!(args(&anew[0]).contains(&"--no-cache"));
        assert_eq!(args(&invocations[1]), ["push", "--", "127.0.0.1:5000/acme:app-20251015-armv7"]);
    }

    #[test]
    fn annotations_are_refused_with_a_builder_that_has_them() {
        let error = Docker.invocations(&tool("/usr/bin/docker"), &step()).unwrap_err();
        assert!(error.hint_text().unwrap().contains("buildah"));
    }

    #[test]
    fn the_push_report_is_the_last_line_for_this_tag() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let output = format!(
            "The push refers to repository [x]\nother: digest: {old} size: 1\n\
             app-20251015-armv7: digest: {new} size: 734\n"
        );
        assert_eq!(Docker.digest(&step(), &|_| None, &output).unwrap(), new);
        assert!(Docker.digest(&step(), &|_| None, "Pushed").is_err());
    }

    #[test]
    fn instructions_are_recognised_in_the_log() {
        assert_eq!(Docker.said("Step 3/4 : RUN make"), Said::instruction("RUN make"));
        assert_eq!(Docker.said("Dockerfile:7"), Some(Said::Line(7)));
        assert_eq!(Docker.said(" ---> 43763af7dbf5"), None);
    }
}
