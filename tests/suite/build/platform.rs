//! "The right architecture": what is pushed must run where its stamp says.

use std::path::Path;

use hephy::config::BackendName::Buildah;
use hephy::oci::Platform;
use hephy::result::Status;

use super::{BASE, Fixture};
use crate::support::builders;

#[test]
fn a_base_that_lies_about_its_platform_is_found_out() {
    let mut fixture = Fixture::new(Buildah);
    // Stamped amd64 by the builder, although every program in it is for arm64.
    fixture.image("base", "FROM scratch\nCOPY tool /usr/bin/tool\n");
    fixture.program(&builders::foreign_program("arm64"), "base/tool");
    let outcome = fixture.run().unwrap();
    let error = outcome.failure.unwrap();
    assert_eq!(error.kind().code(), "build_error");
    assert!(error.message().contains("/usr/bin/tool is a program for arm64"), "{error}");
    assert_eq!(outcome.results[0].status, Status::Failed);
    assert!(!fixture.options.out.join("base-amd64.tag").exists());

    // The lying base was pushed all the same: what is built on it fails, too, though it adds nothing foreign.
    let base = format!("{}:base-20251015-amd64", fixture.registry());
    fixture.image("app", &format!("FROM {base}\nCOPY Dockerfile /\n"));
    fixture.options.images = vec!["app".parse().unwrap()];
    let error = fixture.run().unwrap().failure.unwrap();
    assert!(error.message().contains("/usr/bin/tool is a program for arm64"), "{error}");
}

#[test]
fn a_foreign_entrypoint_is_found_out_wherever_it_lies() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY tool /srv/tool\nENTRYPOINT [\"/srv/tool\"]\n");
    fixture.program(&builders::foreign_program("riscv64"), "base/tool");
    let error = fixture.run().unwrap().failure.unwrap();
    assert!(error.message().contains("/srv/tool is a program for riscv64"), "{error}");
}

#[test]
fn foreign_files_beside_the_images_own_programs_are_legal() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image(
        "base",
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY tool /usr/aarch64-linux-gnu/bin/ld\nCMD [\"/bin/busybox\"]\n",
    );
    fixture.program(&builders::foreign_program("arm64"), "base/tool");
    assert_eq!(fixture.build()[0].status, Status::Completed);
}

#[test]
fn a_cross_build_that_only_copies_the_right_programs_passes() {
    let mut fixture = Fixture::new(Buildah);
    let image = fixture.image("base", "FROM scratch\nCOPY tool /usr/bin/tool\n");
    image.platforms = vec![Platform::parse("linux/arm64").unwrap()];
    fixture.program(&builders::foreign_program("arm64"), "base/tool");
    fixture.options.platform = Platform::parse("linux/arm64").unwrap();
    if Platform::host() != Some(fixture.options.platform.clone())
        && !Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists()
    {
        let error = fixture.run().unwrap_err();
        assert_eq!(error.kind().code(), "usage_error");
        assert!(error.message().contains("cannot run linux/arm64"), "{error}");
    }
    fixture.options.cross = true;
    let result = &fixture.build()[0];
    assert_eq!((result.platform.to_string().as_str(), result.tag.as_str()), ("linux/arm64", "base-20251015-arm64"));
    let (_, config) = fixture.contents(result);
    assert_eq!(config["architecture"], "arm64");
}

#[test]
fn a_cross_build_that_would_run_foreign_programs_is_refused() {
    let mut fixture = Fixture::new(Buildah);
    let arm64 = Platform::parse("linux/arm64").unwrap();
    if Platform::host() == Some(arm64.clone()) || Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        return;
    }
    for (name, dockerfile) in
        [("base", BASE), ("unused", "FROM scratch AS a\nRUN [\"/x\"]\nFROM scratch\nCOPY tool /t\n")]
    {
        fixture.image(name, dockerfile).platforms = vec![arm64.clone()];
        fixture.program(&builders::foreign_program("arm64"), &format!("{name}/tool"));
    }
    fixture.options.platform = arm64;
    fixture.options.cross = true;
    fixture.options.preflight = false;
    let outcome = fixture.run().unwrap();
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind().code(), "usage_error");
    assert!(failure.message().contains("cannot run linux/arm64, which base is to be built for"), "{failure}");
    assert_eq!(outcome.results[1].status, Status::Completed);
}

#[test]
fn an_architecture_that_is_not_needed_is_no_work() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE);
    fixture.options.platform = Platform::parse("linux/s390x").unwrap();
    let outcome = fixture.run().unwrap();
    assert!(!outcome.needed && outcome.results.is_empty() && outcome.failure.is_none());
    assert!(fixture.events.lock().unwrap().is_empty());
}
