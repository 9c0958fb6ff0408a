//! What the platforms' APIs tell (specification §6): the real binary against a local server that replays recorded
//! answers, in the shapes that both platforms document, and everything that an API does instead of answering.

mod compare;
mod since;

use std::path::Path;
use std::sync::Mutex;

use crate::cli::{BEFORE, HEAD, Hephy, Outcome, Project};
use crate::support::proxy::{Action, Proxy, Seen};

/// Id of the last successful pipeline in the recorded answers.
const SUCCESS: &str = "5ccce55000000000000000000000000000000005";
const TOKEN: &str = "a-token-that-nobody-may-see";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gitlab,
    Github,
}

const BOTH: [Kind; 2] = [Kind::Gitlab, Kind::Github];

/// A recorded answer, ids in it replaced.
fn recorded(name: &str, ids: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/forge").join(format!("{name}.json"));
    let mut text = std::fs::read_to_string(path).unwrap();
    ids.iter().for_each(|(from, to)| text = text.replace(from, to));
    text
}

fn json(text: impl Into<String>) -> Action {
    Action::Answer(200, vec![("Content-Type".into(), "application/json".into())], text.into().into_bytes())
}

/// An API that answers by this rule.
fn api(rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Proxy {
    Proxy::start("127.0.0.1:9".parse().unwrap(), rule)
}

/// Images a, b, c (built on b), and what lies in none of them.
fn project() -> Project {
    let project = Project::new();
    project.image("a", "").image("b", "").image_on("c", "b", "");
    project.repo.write("elsewhere/new", "x");
    project.repo.commit("images");
    project
}

/// `hephy plan` in a job of a push whose API is this one.
fn plan(project: &Project, kind: Kind, before: &str, api: &Proxy, more: &[(&str, &str)]) -> Outcome {
    let head = project.repo.head();
    let fixture = if kind == Kind::Gitlab { "gitlab-push" } else { "github-push" };
    let ids = [(HEAD, head.as_str()), (BEFORE, before)];
    let mut hephy = of_job(project, fixture, &ids);
    hephy = match kind {
        Kind::Gitlab => hephy
            .env("CI_API_V4_URL", format!("http://{}/api/v4", api.address))
            .env("CI_PROJECT_ID", "5")
            .env("CI_PIPELINE_ID", "70")
            .env("CI_JOB_TOKEN", TOKEN),
        Kind::Github => hephy
            .env("GITHUB_API_URL", format!("http://{}", api.address))
            .env("GITHUB_RUN_ID", "70")
            .env("GITHUB_WORKFLOW_REF", "acme/images/.github/workflows/images.yml@refs/heads/main")
            .env("GITHUB_TOKEN", TOKEN),
    };
    // Which comparison is made is the question here, not where images go.
    hephy = hephy.env("HEPHY_PUBLISH", "never");
    let said = more.iter().fold(hephy, |hephy, (name, value)| hephy.env(name, *value)).run();
    assert!(!said.stdout.contains(TOKEN) && !said.stderr.contains(TOKEN), "{said}");
    said
}

/// `hephy plan` in a recorded environment. Jobs of one repository may run side by side: each has an event file of its own.
fn of_job(project: &Project, fixture: &str, ids: &[(&str, &str)]) -> Hephy {
    static WRITING: Mutex<u32> = Mutex::new(0);
    let mut number = WRITING.lock().unwrap();
    *number += 1;
    let hephy = project.ci(fixture, ids, ["plan", "--format", "json"]);
    let own = project.home.path().join(format!("event-{number}.json"));
    match std::fs::copy(project.home.path().join("event.json"), &own) {
        Ok(_) if fixture.starts_with("github") => hephy.env("GITHUB_EVENT_PATH", own),
        _ => hephy,
    }
}

/// What an API does instead of answering, and what is said of it.
fn troubles() -> Vec<(&'static str, Action, &'static str)> {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    vec![
        ("401", Action::status(401), "answered 401"),
        ("403", Action::status(403), "answered 403"),
        ("404", Action::status(404), "answered 404"),
        ("429", Action::Answer(429, header("Retry-After", "120"), Vec::new()), "too many requests, again in 120 s"),
        (
            "spent",
            {
                let mut headers = header("X-RateLimit-Remaining", "0");
                headers.extend(header("X-RateLimit-Reset", "1760000000"));
                Action::Answer(403, headers, Vec::new())
            },
            "too many requests, again at 2025-10-09T08:53:20Z",
        ),
        ("500", Action::status(500), "answered 500"),
        (
            "garbage",
            Action::Answer(200, Vec::new(), b"<html>\x1b[31m".to_vec()),
            "answered something that is no answer",
        ),
        ("another shape", json(r#"{"message": "x"}"#), "answered something that is no answer"),
        ("reset", Action::Reset, "broke off"),
        (
            "another host",
            Action::Answer(302, header("Location", "http://192.0.2.1/x"), Vec::new()),
            "sent on to another host",
        ),
        ("huge", Action::Answer(200, Vec::new(), vec![b' '; 17 << 20]), "answered more than 16 MiB"),
        ("slow", Action::status(0), "did not answer in time"),
    ]
}

/// The trouble of this name, as an API makes it each time.
fn make_trouble(name: &str) -> Action {
    if name == "slow" {
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
    troubles().into_iter().find(|(known, ..)| *known == name).unwrap().1
}

/// Every trouble, each on one platform: those of even places on the first, or, where `odd`, the other way round.
/// `check` gets what was said.
fn each_trouble(
    project: &Project,
    before: &str,
    more: &[(&str, &str)],
    odd: bool,
    check: impl Fn(&Outcome, &str) + Sync,
) {
    std::thread::scope(|scope| {
        for (at, (name, _, words)) in troubles().into_iter().enumerate() {
            let kind = BOTH[(at + usize::from(odd)) % 2];
            let check = &check;
            scope.spawn(move || {
                let api = api(move |_| make_trouble(name));
                // One that answers has all the time that a busy machine takes.
                let limit = if name == "slow" { "1" } else { "120" };
                let said = plan(project, kind, before, &api, &[more, &[("HEPHY_API_TIMEOUT", limit)]].concat());
                assert_eq!(said.code, 0, "{kind:?} {name}: {said}");
                assert!(said.stderr.contains(words), "{kind:?} {name} lacks {words:?}: {said}");
                assert!(said.stderr.contains("hint: "), "{kind:?} {name}: {said}");
                check(&said, name);
                assert!(!api.seen().is_empty());
            });
        }
    });
}
