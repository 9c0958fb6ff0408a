use std::collections::BTreeSet;

use super::*;
use serde_json::json;

/// A plan of images, each with the platforms and the images of the plan that it is built on.
fn plan(mode: &str, images: &[(&str, &[&str], &[&str])]) -> Plan {
    let mut waves: BTreeMap<&str, u32> = BTreeMap::new();
    let planned: Vec<Value> = images
        .iter()
        .map(|(name, platforms, built_on)| {
            let wave = built_on.iter().map(|below| waves[below] + 1).max().unwrap_or_default();
            waves.insert(*name, wave);
            let dependency =
                |name: &&str| json!({"name": name, "via": "depends_on", "from": "plan", "platforms": platforms});
            let dependencies: Vec<Value> = built_on.iter().map(dependency).collect();
            json!({
                "name": name, "dir": name, "input_key": "0".repeat(64), "reasons": [],
                "source": {"mode": "local", "root": "."}, "backend": "buildah", "dockerfile": "Dockerfile",
                "context": ".", "target": null, "platforms": platforms, "targets": [], "tags": [], "arch_tags": {},
                "build_args": [], "labels": {}, "annotations": {}, "bases": [], "dependencies": dependencies,
                "wave": wave, "ko": null, "manual_images": null, "timeout_seconds": null, "retries": null,
            })
        })
        .collect();
    let source =
        json!({"repository": "r", "commit": "c", "commit_time": "t", "ref": "main", "base": null, "event": "push"});
    let document = json!({
        "version": 1, "id": "bld_1", "mode": mode, "source": source, "date": "20251015", "registry": "r.example/a",
        "layout": "single", "comparison": "", "images": planned, "unchanged": [], "removed": [], "warnings": [],
    });
    Plan::parse(document.to_string().as_bytes()).unwrap()
}

const BOTH: &[&str] = &["linux/amd64", "linux/arm64"];
const AMD64: &[&str] = &["linux/amd64"];

fn made(plan: &Plan, fanout: Fanout) -> Matrices {
    matrices(plan, &Runners::default(), fanout).unwrap()
}

fn names(matrix: &Matrix) -> Vec<&str> {
    matrix.include.iter().map(|leg| leg.leg.as_str()).collect()
}

#[test]
fn fan_out_arch_is_one_leg_an_architecture_that_is_needed() {
    let both = plan("publish", &[("a", AMD64, &[]), ("b", BOTH, &["a"])]);
    let document = serde_json::to_value(made(&both, Fanout::Arch)).unwrap();
    let legs = json!({"include": [
        {"leg": "amd64", "arch": "amd64", "runner": "ubuntu-24.04"},
        {"leg": "arm64", "arch": "arm64", "runner": "ubuntu-24.04-arm"},
    ]});
    let none = json!({"include": []});
    assert_eq!(document, json!({"mode": "publish", "arch": legs, "waves": [legs, none, none, none]}));
    assert_eq!(names(&made(&plan("publish", &[("a", AMD64, &[])]), Fanout::Arch).arch), ["amd64"]);
    assert!(made(&plan("publish", &[]), Fanout::Image).waves.iter().all(|wave| wave.include.is_empty()));
}

#[test]
fn fan_out_image_is_one_leg_an_image_and_architecture_in_its_wave() {
    let chain = plan("publish", &[("a", BOTH, &[]), ("z", AMD64, &[]), ("b", BOTH, &["a"]), ("c", BOTH, &["b", "z"])]);
    let made = made(&chain, Fanout::Image);
    assert_eq!(names(&made.waves[0]), ["a-amd64", "z-amd64", "a-arm64"]);
    assert_eq!(names(&made.waves[1]), ["b-amd64", "b-arm64"]);
    assert_eq!(names(&made.waves[2]), ["c-amd64", "c-arm64"]);
    assert_eq!(names(&made.waves[3]), [""; 0]);
    let leg = serde_json::to_value(&made.waves[0].include[1]).unwrap();
    let runner = "ubuntu-24.04";
    assert_eq!(leg, json!({"leg": "z-amd64", "arch": "amd64", "runner": runner, "image": "z", "images": ["z"]}));
}

#[test]
fn the_last_wave_takes_what_is_left_in_order() {
    let deep: &[(&str, &[&str], &[&str])] = &[
        ("a", BOTH, &[]),
        ("b", BOTH, &["a"]),
        ("c", BOTH, &["b"]),
        ("d", AMD64, &["c"]),
        ("e", AMD64, &["c"]),
        ("f", AMD64, &["e"]),
    ];
    let four = made(&plan("publish", &deep[..5]), Fanout::Image);
    assert_eq!(names(&four.waves[3]), ["d-amd64", "e-amd64"], "images of one wave need not wait for each other");
    let five = made(&plan("publish", deep), Fanout::Image);
    assert_eq!(names(&five.waves[3]), ["d+2-amd64"]);
    assert_eq!(five.waves[3].include[0].images, ["d", "e", "f"]);
    assert_eq!(five.waves[3].include[0].image, None);
}

#[test]
fn a_check_keeps_images_that_are_built_on_each_other_in_one_leg() {
    let images: &[(&str, &[&str], &[&str])] =
        &[("a", BOTH, &[]), ("b", BOTH, &[]), ("x", AMD64, &[]), ("c", AMD64, &["a"]), ("d", AMD64, &["c", "b"])];
    let made = made(&plan("check", images), Fanout::Image);
    // What brings a and b together is for amd64 alone.
    assert_eq!(names(&made.waves[0]), ["a+3-amd64", "x-amd64", "a-arm64", "b-arm64"]);
    assert_eq!(made.waves[0].include[0].images, ["a", "b", "c", "d"]);
    assert!(made.waves[1..].iter().all(|wave| wave.include.is_empty()));
}

#[test]
fn beyond_256_legs_images_share_one() {
    let many: Vec<String> = (0..300).map(|index| format!("i{index}")).collect();
    let images: Vec<(&str, &[&str], &[&str])> = many.iter().map(|name| (name.as_str(), BOTH, &[][..])).collect();
    for (mode, count) in [("publish", 300), ("check", 300), ("publish", 128)] {
        let made = made(&plan(mode, &images[..count]), Fanout::Image);
        let legs = &made.waves[0].include;
        assert!(legs.len() <= 256 && legs.len() >= 128, "{}", legs.len());
        for arch in ["amd64", "arm64"] {
            let built: BTreeSet<&str> =
                legs.iter().filter(|leg| leg.arch == arch).flat_map(|leg| &leg.images).map(String::as_str).collect();
            assert_eq!(built.len(), count, "each image once an architecture");
        }
        let unique: BTreeSet<&str> = names(&made.waves[0]).into_iter().collect();
        assert_eq!(unique.len(), legs.len());
    }
}

#[test]
fn a_document_that_no_output_can_hold_falls_back_to_one_leg_an_architecture() {
    let many: Vec<String> = (0..6000).map(|index| format!("{}{index}", "n".repeat(100))).collect();
    let images: Vec<(&str, &[&str], &[&str])> = many.iter().map(|name| (name.as_str(), BOTH, &[][..])).collect();
    let made = made(&plan("publish", &images), Fanout::Image);
    assert_eq!(names(&made.waves[0]), ["amd64", "arm64"]);
}

#[test]
fn runners_are_labels_lists_or_groups_and_nothing_else() {
    let named = r#"{"arm64": ["self-hosted", "arm64"], "armv7": {"group": "g", "labels": ["x"]}}"#;
    let runners = Runners::parse(named).unwrap();
    let made = matrices(&plan("publish", &[("a", &["linux/amd64", "linux/arm/v7"], &[])]), &runners, Fanout::Arch);
    let made = serde_json::to_value(made.unwrap().arch).unwrap();
    assert_eq!(made["include"][0]["runner"], "ubuntu-24.04", "the default of what is not named");
    assert_eq!(made["include"][1]["runner"], json!({"group": "g", "labels": ["x"]}));
    for wrong in [
        "x",
        "[]",
        "1",
        r#"{"amd64": ""}"#,
        r#"{"amd64": []}"#,
        r#"{"amd64": 1}"#,
        r#"{"amd64": {"env": "x"}}"#,
        r#"{"amd64": {}}"#,
        r#"{"x86_64": "x"}"#,
        r#"{"amd64": ["a", null]}"#,
    ] {
        assert_eq!(Runners::parse(wrong).unwrap_err().kind().code(), "usage_error", "{wrong}");
    }
    let riscv = plan("publish", &[("a", &["linux/riscv64"], &[])]);
    let error = matrices(&riscv, &Runners::default(), Fanout::Image).unwrap_err();
    assert_eq!(error.message(), "there is no runner for riscv64, which a is to be built for");
    assert!(Fanout::parse("images").is_err());
}
