//! `hephy run --jobs 2` against one image at a time, on a wide graph of eight.

use std::time::Duration;

use crate::measure::{alternately, command, ratio, run};
use crate::project::Project;
use crate::report::{Report, milliseconds};
use crate::support::builders;

/// Images that nothing but one base holds together.
const IMAGES: usize = 8;
/// Rounds of a loop that keeps one core busy for about two seconds.
const WORK: &str = "i=0; while [ $i -lt 1500000 ]; do i=$((i+1)); done; echo $i > /done";

pub(crate) fn measure(report: &mut Report) {
    report.section("jobs", "Images at the same time");
    report.text(
        "`hephy run` with Buildah, from start to end, of eight images that do not wait for each other; each has one \
         `RUN` that keeps a core busy. The target is for two cores. Storage is emptied between two runs.",
    );
    let storage = tempfile::tempdir().unwrap();
    let (name, value) = builders::buildah(storage.path());
    let project = Project::new();
    for number in 0..IMAGES {
        let dir = format!("image-{number}");
        project.write(&format!("{dir}/build-config.yaml"), "use_local_context: true\n");
        project.program(&format!("{dir}/busybox"), &builders::busybox());
        let dockerfile =
            format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"{WORK}\"]\n");
        project.write(&format!("{dir}/Dockerfile"), dockerfile);
    }
    project.commit();
    let registry = format!("{}/jobs", builders::registry());
    let with = |jobs: &str| -> Duration {
        run(command(builders::tool("buildah"), &project.root()).args(["rmi", "--all", "--force"]).env(&name, &value));
        let args = ["run", "--all", "--force", "--registry", &registry, "--backend", "buildah", "--jobs", jobs];
        run(project.hephy(&args).env(&name, &value))
    };
    let (one, two) = alternately(3, || with("1"), || with("2"));
    let faster = ratio(&one, &two);
    let header = ["images", "one at a time", "`--jobs 2`", "faster"];
    let cells = [milliseconds(one.fastest()), milliseconds(two.fastest()), format!("{faster:.2} ×")];
    report.row(&header, &[vec![IMAGES.to_string()], cells.to_vec()].concat());
    report.target_at_least("`hephy run --jobs 2`, eight images", "≥ 1.6 × one at a time", faster, 1.6, " ×");
}
