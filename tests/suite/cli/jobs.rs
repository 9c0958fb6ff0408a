//! `--jobs N`: independent images are built at the same time (specification §10), and nothing else differs.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::run::runs;
use super::{Project, image_of, layers};
use crate::support::builders;

/// Six images on a common base, and a chain: `base` → `wide-0` … `wide-5`, `base` → `mid` → `top`.
fn wide() -> Project {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "");
    for number in 0..6 {
        project.image_on(&format!("wide-{number}"), "base", "");
    }
    project.repo.commit("images");
    project
}

fn result(project: &Project, stem: &str) -> Value {
    serde_json::from_str(&project.read(&format!("{stem}.json"))).unwrap()
}

/// When an image's build began and ended.
fn times(result: &Value) -> (jiff::Timestamp, jiff::Timestamp) {
    let at = |name: &str| result[name].as_str().unwrap().parse().unwrap();
    (at("start"), at("end"))
}

fn overlap(one: &Value, other: &Value) -> bool {
    let (one, other) = (times(one), times(other));
    one.0 < other.1 && other.0 < one.1
}

/// A build that lasts until somebody ends it.
fn sleeper(project: &Project, dir: &str, seconds: &str) {
    let dockerfile =
        format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"{seconds}\"]\n");
    project.dockerfile(dir, "", &dockerfile);
    std::fs::copy(builders::busybox(), project.path(&format!("{dir}/busybox"))).unwrap();
}

#[test]
fn several_at_a_time_give_the_same_images_in_the_same_order() {
    let project = wide();
    let registry = project.registry();
    let run = |jobs: &str, to: &str| {
        project.hephy(["run", "--all", "--registry", to, "--format", "json", "--jobs", jobs]).run().ok().json()
    };
    let (other, many) = (format!("{registry}-one"), format!("{registry}-many"));
    let one = run("1", &other);
    let results = one["results"].as_array().unwrap();
    assert!(results.iter().zip(&results[1..]).all(|(first, next)| !overlap(first, next)), "{one:#}");
    let four = run("4", &many);
    let names = |document: &Value| -> Vec<Value> {
        document["results"].as_array().unwrap().iter().map(|result| result["image"].clone()).collect()
    };
    assert_eq!(names(&four), names(&one));
    assert_eq!(names(&four)[0], "base");
    let of = |stem: &str| four["results"].as_array().unwrap().iter().find(|it| it["image"] == stem).unwrap().clone();
    let wide: Vec<Value> = (0..6).map(|number| of(&format!("wide-{number}"))).collect();
    assert!(wide.iter().zip(&wide[1..]).any(|(first, next)| overlap(first, next)), "{four:#}");
    assert!(times(&of("base")).1 <= times(&of("mid")).0 && times(&of("mid")).1 <= times(&of("top")).0, "{four:#}");
    for image in ["base", "mid", "top", "wide-0", "wide-5"] {
        let layers = |registry: &str| layers(&image_of(registry, &format!("{image}-head"), "amd64"));
        assert_eq!(layers(&many), layers(&other), "{image}");
        let log = project.read(&format!("logs/{image}-amd64.log"));
        assert!(log.contains("COPY file"), "{log}");
    }
    assert!(!project.out("work").exists());
}

#[test]
fn one_failure_skips_what_is_built_on_it_and_lets_the_others_go_on() {
    let project = wide();
    project.dockerfile("mid", "", "FROM scratch\nCOPY nowhere /\n").dockerfile(
        "wide-1",
        "",
        "FROM scratch\nCOPY nowhere /\n",
    );
    project.repo.commit("two are broken");
    let registry = project.registry();
    let hephy = project.hephy(["run", "--all", "--registry", &registry, "--format", "json"]).env("HEPHY_JOBS", "3");
    let outcome = hephy.run();
    assert_eq!(outcome.code, 1, "{outcome}");
    let document = outcome.json();
    let status: Vec<(&Value, &Value)> =
        document["results"].as_array().unwrap().iter().map(|it| (&it["image"], &it["status"])).collect();
    let with = |wanted: &str| -> Vec<&Value> {
        status.iter().filter(|(_, status)| *status == wanted).map(|(image, _)| *image).collect()
    };
    assert_eq!(
        (with("failed"), with("skipped")),
        (vec![&json!("mid"), &json!("wide-1")], vec![&json!("top")]),
        "{outcome}"
    );
    assert_eq!(with("completed").len(), 6, "{outcome}");
    assert_eq!(result(&project, "top-amd64")["error"]["because_of"], "mid");
}

#[test]
fn a_signal_ends_all_builders_and_begins_no_other() {
    let project = Project::new();
    for (dir, seconds) in [("a", "41331"), ("b", "41332"), ("c", "41333")] {
        sleeper(&project, dir, seconds);
    }
    project.repo.commit("images");
    let running = project.hephy(["run", "--all", "--jobs", "2"]).start();
    let until = Instant::now() + Duration::from_secs(90);
    while !(runs("sleep\u{0}41331") && runs("sleep\u{0}41332")) {
        assert!(Instant::now() < until, "the two never ran at the same time");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!runs("sleep\u{0}41333"), "not more than were asked for");
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.code, 130, "{outcome}");
    assert!(["41331", "41332", "41333"].iter().all(|seconds| !runs(&format!("sleep\u{0}{seconds}"))), "{outcome}");
    for image in ["a", "b"] {
        assert_eq!(result(&project, &format!("{image}-amd64"))["status"], "cancelled");
    }
    assert!(!project.out("c-amd64.json").exists(), "{outcome}");
    assert!(!project.out("work").exists());
}

#[test]
fn lines_of_a_ci_log_do_not_mix() {
    let project = wide();
    let before = "0".repeat(40);
    project.push(&before, ["prepare"]).run().ok();
    let outcome = project.push(&before, ["build", "--arch", "amd64", "--jobs", "3"]).run().ok();
    let mut open: Option<String> = None;
    let mut folded = Vec::new();
    for line in outcome.stderr.lines() {
        let name = |mark: &str| {
            let rest = line.split_once(mark)?.1;
            Some(rest.split_once(':')?.1.split(['\r', '[']).next()?.to_owned())
        };
        if let Some(begun) = name("section_start:") {
            assert!(open.is_none(), "{begun} begins inside of {open:?}\n{outcome}");
            open = Some(begun);
        } else if let Some(ended) = name("section_end:") {
            assert_eq!(open.take(), Some(ended.clone()), "{outcome}");
            folded.push(ended);
        } else if line.contains("STEP ") {
            assert!(open.is_some(), "{line}\n{outcome}");
        }
    }
    assert_eq!(folded.len(), 9, "{folded:?}\n{outcome}");
}

#[test]
fn a_number_that_is_none_is_refused() {
    let project = Project::with(&["a"]);
    for wrong in ["0", "-1", "many", "300"] {
        let outcome = project.hephy(["run", "--all", &format!("--jobs={wrong}")]).run();
        assert_eq!(outcome.code, 2, "{outcome}");
        let outcome = project.hephy(["run", "--all"]).env("HEPHY_JOBS", wrong).run();
        assert_eq!(outcome.code, 2, "{outcome}");
    }
    project.hephy(["plan"]).env("HEPHY_JOBS", "").run().ok();
    assert!(!project.path(".hephy").exists());
}
