//! `hephy plan`: which of the images are built, by name, by a schedule's list, and as far as changes travel.

use serde_json::Value;

use super::{HEAD, Project};

#[test]
fn directories_are_chosen_by_globs() {
    let project = Project::with(&["a", "team/one", "team/two", "team/deep/three", "b"]);
    let built = |args: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(args.iter().copied());
        project.hephy(all).run().ok().built().join(",")
    };
    assert_eq!(built(&["--dir", "a"]), "a");
    assert_eq!(built(&["--dir", "./team/one/"]), "team-one");
    assert_eq!(built(&["--dir", "team/*"]), "team-one,team-two");
    assert_eq!(built(&["--dir", "team/**"]), "team-deep-three,team-one,team-two");
    assert_eq!(built(&["--dir", "a", "--dir", "b"]), "a,b");
    project
        .hephy(["plan", "--dir", "team/on"])
        .run()
        .fails(9, &["--dir team/on matches no image directory", "did you mean team/one?"]);
    project.hephy(["plan", "--dir", "zzz/*"]).run().fails(9, &["--dir zzz/* matches no image directory"]);
    project.hephy(["plan", "--dir=-x"]).run().fails(9, &["--dir -x matches no image directory"]);
    let outcome = project.hephy(["plan", "--dir", "a["]).run();
    assert_eq!(outcome.code, 2, "{outcome}");
}

#[test]
fn a_change_travels_as_far_as_dependents_says() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    let before = project.repo.commit("images");
    project.change("base/file");
    let built = |how: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(how.iter().copied());
        project.range(&before, all).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().built().join(",")
    };
    assert_eq!(built(&[]), "base,mid,top");
    assert_eq!(built(&["--dependents", "all"]), "base,mid,top");
    assert_eq!(built(&["--dependents", "direct"]), "base,mid");
    assert_eq!(built(&["--dependents", "none"]), "base");
}

/// What is not built in this run is no reason.
#[test]
fn an_image_that_is_held_back_is_no_reason_for_another() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "");
    let before = project.repo.commit("images");
    project.repo.write("top/file", "changed\n");
    project.change("base/file");
    let plan = |dependents: &str| {
        let words = ["plan", "--format", "json", "--dependents", dependents];
        let json = project.range(&before, words).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().json();
        let reasons = |image: &Value| -> Vec<String> {
            let reasons = image["reasons"].as_array().unwrap().iter();
            reasons.map(|reason| reason["text"].as_str().unwrap().to_owned()).collect()
        };
        let images = json["images"].as_array().unwrap();
        images.iter().find(|image| image["name"] == "top").map(reasons).unwrap()
    };
    assert_eq!(plan("all"), ["top/file changed", "built on mid"]);
    assert_eq!(plan("direct"), ["top/file changed", "built on mid"]);
    assert_eq!(plan("none"), ["top/file changed"]);
}

#[test]
fn a_schedules_list_that_is_a_link_or_empty_is_told_as_that() {
    let project = Project::with(&["a"]);
    project.repo.symlink("/etc/hostname", "rebuild-out.txt").symlink("gone.txt", "rebuild-gone.txt");
    project.repo.symlink("lists/real.txt", "rebuild-in.txt").write("lists/real.txt", "a\n");
    project.repo.write("rebuild-empty.txt", "# nothing yet\n\n");
    project.repo.commit("lists");
    let plan = |name: &str| project.hephy(["plan", "--scheduled", name, "--format", "json"]).run();
    for name in ["out", "gone"] {
        plan(name).fails(3, &[&format!("rebuild-{name}.txt is a symbolic link that leads to no file")]);
    }
    plan("nowhere").fails(3, &["there is no rebuild-nowhere.txt"]);
    assert_eq!(plan("in").ok().built(), ["a"]);
    let empty = plan("empty").ok();
    assert!(empty.built().is_empty(), "{empty}");
    assert!(empty.stderr.contains("rebuild-empty.txt names no image directory, so nothing is built"), "{empty}");
}

#[test]
fn a_schedule_list() {
    let project = Project::with(&["a", "team/b", "c"]);
    project.repo.write("rebuild-weekly.txt", "# weekly\n\na\n  team/b/  # the big one\n");
    project.repo.write("rebuild-night.txt", "c\r\n");
    let head = project.repo.commit("lists");
    let built = |flag: &str| {
        let hephy = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--format", "json", flag]);
        hephy.run().ok()
    };
    assert_eq!(built("--scheduled").built(), ["a", "team-b"]);
    assert_eq!(built("--scheduled").reason("a"), "listed in rebuild-weekly.txt");
    assert_eq!(built("--scheduled=night").built(), ["c"]);
    // A name behind a space, as the specification writes it, and a list as other systems save it.
    let night = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--scheduled", "night", "--format", "json"]);
    assert_eq!(night.run().ok().built(), ["c"]);
    project.repo.write("rebuild-odd.txt", "\u{feff}# odd\r\n./a/\t# tab\r\n  team/b  #\r\n#c\r\n");
    let head = project.repo.commit("odd list");
    let odd = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--format", "json", "--scheduled", "odd"]);
    assert_eq!(odd.run().ok().built(), ["a", "team-b"]);

    project.repo.write("rebuild-weekly.txt", "# weekly\na\n\nteam/d\n");
    let head = project.repo.commit("wrong list");
    let hephy = project.ci("gitlab-schedule", &[(HEAD, &head)], ["prepare", "--scheduled"]);
    let outcome = hephy.run().fails(3, &[]);
    assert!(
        outcome.stderr.contains("rebuild-weekly.txt:4:1: error: `team/d` is not an image directory")
            && outcome.stderr.contains("did you mean `team/b`?"),
        "{outcome}"
    );
    project.hephy(["plan", "--scheduled=none"]).run().fails(3, &["there is no rebuild-none.txt"]);
    project.hephy(["plan", "--scheduled=../x"]).run().fails(2, &[]);
}
