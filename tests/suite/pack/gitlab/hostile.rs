//! Names of strangers reach the template and change nothing.

use serde_json::json;

use super::fan_out::pipeline_with;
use super::world::{Event, World};
use crate::pack::emulated::{NEW, Ran};

/// What git takes as a name of a branch and a tag, and a shell as commands.
const NAME: &str = "x\"$(touch${IFS}PWNED)\"';touch${IFS}PWNED;'`touch${IFS}PWNED`&&touch${IFS}PWNED";
const MESSAGE: &str =
    "$(touch PWNED)\n`touch PWNED`\n';touch PWNED;'\nHEPHY_NEED_AMD64=false\n\u{1b}[0Ksection_end:1:x\r";

fn has_pwned(dir: &std::path::Path) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        entry.file_name() == "PWNED" || entry.path().is_dir() && !entry.path().is_symlink() && has_pwned(&entry.path())
    })
}

#[test]
fn hostile_names_and_messages_run_nothing_and_forge_nothing() {
    hostile(&World::new(), |world, event, more| world.emulate(event, more));
}

#[test]
fn hostile_names_and_messages_change_nothing_in_the_component_and_its_child_pipeline() {
    let component = json!({"component": "$CI_SERVER_FQDN/$CI_PROJECT_PATH/hephy@$CI_COMMIT_SHA"});
    hostile(&World::new().included(component).with("fan-out", "image"), |world, event, more| {
        let (_, built) = pipeline_with(world, event, more);
        if !built.success {
            return built;
        }
        world.emulate(event, &[&["manifest"], more].concat())
    });
}

/// Runs pipelines on every event that carries a name of somebody.
fn hostile(world: &World, run: impl Fn(&World, Event<'_>, &[&str]) -> Ran) {
    world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    // Its name gives no tag: it is said when it would be built, and nothing is done with it before.
    world.image("$(touch PWNED);`touch PWNED`", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    let first = world.commit("first");
    world.repo.write("a/text", "changed");
    world.commit(MESSAGE);
    let [message, title] = [format!("CI_COMMIT_MESSAGE={MESSAGE}"), format!("CI_COMMIT_TITLE={NAME}")];
    let said = ["--variable", &message, "--variable", &title];

    let ran = run(world, Event::Push { before: &first }, &said).succeeded();
    assert_eq!(world.images(), ["a"], "{}", ran.said);
    let flags = std::fs::read_to_string(world.artifact("prepare", "prepare.env")).unwrap();
    assert_eq!(flags, "HEPHY_HAS_BUILDS=true\nHEPHY_NEED_AMD64=true\nHEPHY_NEED_ARM64=false\n");

    // The whole directory of such a name is a sentence, not a command.
    let ran = world.emulate(Event::Push { before: NEW }, &said).failed();
    ran.says(&["touch PWNED"]);

    // A branch of such a name asks for a merge, and a tag of such a name is pushed.
    world.repo.git(&["rm", "-rq", "$(touch PWNED);`touch PWNED`"]);
    world.commit("second");
    world.repo.git(&["checkout", "-q", "-b", NAME]);
    world.repo.write("a/text", "changed again");
    world.repo.commit(MESSAGE);
    world.repo.git(&["checkout", "-q", "main"]);
    world.repo.git(&["merge", "-q", "--no-ff", "-m", MESSAGE, NAME]);
    let tags = world.tags();
    let source = ["--variable", &format!("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME={NAME}")];
    run(world, Event::MergeRequest, &[&said[..], &source].concat()).succeeded();
    assert_eq!(world.dirs(), "a\n");
    assert_eq!(world.tags(), tags);
    world.repo.git(&["tag", NAME]);
    let ran = run(world, Event::Tag(NAME), &said).succeeded();
    assert_eq!(world.images(), ["a"], "{}", ran.said);
    assert!(!has_pwned(world.dir.path()) && !has_pwned(world.repo.path()), "{}", ran.said);
}
