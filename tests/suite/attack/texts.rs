//! Threat: configurations and Dockerfiles that are small to write and large to read.

use super::{Hephy, one_image};
use crate::support::repo::Repo;

/// What `hephy plan` makes of a Dockerfile, as a head and as a base.
fn plan(dockerfile: &str) -> super::Seen {
    let repo = Repo::new();
    repo.image("curl").write("curl/Dockerfile", dockerfile).commit("bomb");
    let seen = Hephy::at(repo.path()).run(&["plan", "--all", "--registry", "none"]);
    repo.write("curl/Dockerfile", "FROM scratch\n").commit("mended");
    Hephy::at(repo.path()).run(&["plan", "--base", "HEAD~1", "--registry", "none"]).succeeded();
    seen
}

#[test]
fn arguments_that_multiply_have_no_value() {
    let mut bomb = "ARG A0=xxxxxxxxxx\n".to_owned();
    for at in 1..12 {
        bomb.push_str(&format!("ARG A{at}={}\n", format!("${{A{}}}", at - 1).repeat(10)));
    }
    plan(&format!("{bomb}FROM ${{A11}}\n")).refused(3, "curl/Dockerfile:4:1");
    // Each alone is short, all together are not.
    let wide: String = (0..1_990).map(|at| format!("ARG B{at}=${{A2}}${{A2}}${{A2}}\n")).collect();
    let narrow = bomb.lines().take(3).map(|line| format!("{line}\n")).collect::<String>();
    plan(&format!("{narrow}{wide}FROM scratch\n")).succeeded();
    // Defaults inside defaults.
    let deep = format!("FROM {}x{}\n", "${A:-".repeat(100_000), "}".repeat(100_000));
    plan(&deep).refused(3, "curl/Dockerfile:1:6");
}

#[test]
fn patterns_that_backtrack_do_not() {
    let long = format!("ARG V={}\n", "x".repeat(4_000));
    let pattern = "*x".repeat(50);
    let trims: String = (0..900).map(|at| format!("ARG A{at}=${{V%%{pattern}y}}${{V//{pattern}y/z}}\n")).collect();
    plan(&format!("{long}{trims}FROM scratch\n")).refused(3, "curl/Dockerfile:2:1");
    let trims: String =
        (0..900).map(|at| format!("ARG A{at}=${{V%%{pattern}y}}\nARG B{at}=${{V/{pattern}/}}\n")).collect();
    plan(&format!("{long}{trims}FROM scratch\n")).succeeded();
}

#[test]
fn files_with_more_than_anybody_writes_are_refused_by_name() {
    let stages: String = (0..20_000).map(|at| format!("FROM scratch AS s{at}\n")).collect();
    plan(&stages).refused(3, "curl/Dockerfile:1:1: error: the Dockerfile has 20000 stages, more than 1000");
    let copies: String = (0..30_000).map(|at| format!("COPY --from=x{at}/y:z a b\n")).collect();
    plan(&format!("FROM scratch\n{copies}")).refused(3, "30001 references to images");
    plan(&format!("FROM scratch\n#{}", "x".repeat(1 << 20))).refused(3, "larger than 1 MiB");
    plan("FROM scratch\0\n").refused(3, "curl/Dockerfile:1:13: error: the Dockerfile holds a NUL");
    // The most that is allowed is still quick.
    let most: String = (0..1_000).map(|at| format!("FROM scratch AS s{at}\nCOPY --from=r{at}/x a b\n")).collect();
    let most = most.strip_suffix("COPY --from=r999/x a b\n").unwrap();
    plan(most).succeeded();
}

#[test]
fn odd_dockerfiles_neither_crash_nor_hang() {
    for (text, code) in [
        ("FROM a AS b\nFROM b AS a\nCOPY --from=b x y\nFROM c AS c\nCOPY --from=a a b\n", 0),
        ("FROM c AS c\nCOPY --from=c a b\n", 3),
        ("\u{feff}FROM scratch\r\nCOPY . /\r\n", 0),
        ("# escape=`\nFROM scratch\nRUN a `\n b\n", 0),
        ("FROM scratch\nRUN <<EOF\nnever ends", 3),
        ("", 3),
        ("ARG X\n", 3),
        ("FROM scratch\nFOO\n", 3),
        ("FROM --platform=$BUILDPLATFORM --upload-pack=x scratch AS -x\n", 0),
    ] {
        assert_eq!(plan(text).code, code, "{text:?}");
    }
    for text in [
        format!("FROM scratch\nRUN {}\n", "\\\n".repeat(200_000)),
        format!("FROM {}\n", "a".repeat(1_000_000)),
        format!("FROM scratch\nCMD {}\n", "[".repeat(100_000)),
        format!("FROM scratch\nRUN {}x\n", "--mount=from=a,from=b,type=bind ".repeat(1_900)),
        format!("FROM scratch\n{}", "RUN x\n".repeat(150_000)),
    ] {
        assert!(matches!(plan(&text).code, 0 | 3));
    }
}

#[test]
fn the_worst_configurations_of_256_kib_are_refused_by_the_command() {
    let fill = |unit: &str, before: &str| format!("{before}{}", unit.repeat((256 * 1024 - before.len()) / unit.len()));
    for (text, code) in [
        (fill("[", "platforms: "), 3),
        (fill("{a: ", "x: "), 3),
        (fill("- ", "platforms:\n  "), 3),
        (fill("*a,", "a: &a x\nb: ["), 3),
        (fill("use_local_context: true\n", ""), 3),
        (fill("a,", "use_local_context: true\ndepends_on: ["), 3),
        (fill("a,", "use_local_context: true\nplatforms: ["), 3),
        (fill("${A:-", "use_local_context: true\nbuild_args:\n  - A="), 3),
        (fill("#\n", "use_local_context: true\n"), 0),
        (fill("\n", "use_local_context: true\n"), 0),
    ] {
        let (repo, _) = one_image();
        repo.write("curl/build-config.yaml", &text);
        assert_eq!(Hephy::at(repo.path()).run(&["check"]).code, code, "{}", &text[..60]);
    }
}

#[test]
fn globs_that_backtrack_do_not() {
    let repo = Repo::new();
    let pattern = format!("{}b", "a*".repeat(60));
    let deep = format!("{}x", "**/a/".repeat(30));
    repo.image("curl").write("hephy.yaml", format!("ignore: ['{pattern}', '{deep}']\n"));
    repo.write(format!("curl/{}", "a".repeat(200)), "").write(format!("curl/{}y", "a/".repeat(100)), "");
    repo.write("a".repeat(250), "").write(format!("{}y", "a/".repeat(100)), "").commit("globs");
    Hephy::at(repo.path()).run(&["plan", "--all", "--registry", "none"]).succeeded();

    // A slash behind the stars, and a directory that nearly matches.
    let pattern = format!("curl/{}b/c", "*a".repeat(14));
    repo.write("hephy.yaml", format!("ignore: ['{pattern}']\n"));
    repo.write(format!("curl/{}/c", "a".repeat(60)), "").commit("a slash");
    let started = std::time::Instant::now();
    Hephy::at(repo.path()).run(&["plan", "--all", "--registry", "none"]).succeeded();
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}
