//! A second build with a warm layer cache in the registry against the first, with an empty one.

use crate::build::Builder;
use crate::measure::{Times, ratio, run};
use crate::project::Project;
use crate::report::{Report, milliseconds};
use crate::support::builders;

const HEADER: [&str; 4] = ["builder", "first build", "second build", "times as fast"];
const ROUNDS: u32 = 5;

/// Two steps that compute for a while, as compilers do, and leave little.
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox dd if=/dev/zero bs=1M count=512 | /bin/busybox sha256sum > /one\"]\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox dd if=/dev/zero bs=1M count=512 | /bin/busybox sha512sum > /two\"]\n";

pub(crate) fn measure(report: &mut Report) {
    report.section("cache", "The layer cache");
    report.text(
        "`hephy build` of one image with `cache: true`, whose two `RUN` steps each hash 512 MiB, with nothing in the \
         registry's cache and once more with what the first build left there. Before each build the builder's own storage \
         is emptied, as a new runner's is; every round has a repository of its own.",
    );
    for builder in [Builder::buildah(), Builder::buildkit()] {
        let (cold, warm) = compare(&builder);
        let faster = ratio(&warm, &cold).recip();
        let cells =
            [builder.name.into(), milliseconds(cold.fastest()), milliseconds(warm.fastest()), format!("{faster:.1}")];
        report.row(&HEADER, &cells);
        let what = format!("second build with a warm cache, {}", builder.name);
        report.target_at_least(&what, "faster than the first", faster, 1.0, " ×");
    }
}

fn compare(builder: &Builder) -> (Times, Times) {
    let project = Project::new();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    project.program("app/busybox", &builders::busybox());
    project.write("app/Dockerfile", DOCKERFILE);
    project
        .write("app/build-config.yaml", format!("use_local_context: true\ncache: true\nplatforms: [linux/{arch}]\n"));
    project.commit();
    let (mut cold, mut warm) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        project.prepare(&format!("{}/{}-cache-{round}", builders::registry(), builder.backend), builder.backend);
        for times in [&mut cold, &mut warm] {
            builder.clean(&project);
            times.add(run(builder.with_storage(&mut project.hephy(&["build", "--arch", arch]))));
        }
    }
    (cold, warm)
}
