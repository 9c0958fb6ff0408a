//! Finding commits, and what servers answer.

use std::os::unix::fs::PermissionsExt as _;

use hephy::ErrorKind;
use hephy::source::{self, Upstream};

use super::upstream::{Behaviour, Repository, Server, World};
use super::{prepare_one, request, resolve_one, unpacked};

/// Three commits; tags of every kind on the second; `both` is a branch and a tag.
fn history(repository: &Repository) -> [String; 3] {
    let commits = ["one", "two", "three"].map(|text| repository.write("file", text).commit(text));
    repository.git(["tag", "light", &commits[1]]);
    repository.git(["tag", "-a", "-m", "m", "annotated", &commits[1]]);
    repository.git(["tag", "-a", "-m", "m", "nested", "annotated"]);
    repository.git(["branch", "both", &commits[0]]);
    repository.git(["tag", "both", &commits[1]]);
    commits
}

#[test]
fn branches_tags_and_ids_resolve_with_one_listing_a_repository() {
    let world = World::new();
    let [one, two, three] = history(&world.repository("up"));
    let server = Server::start(world.dir.path(), Behaviour::default());
    let expected = [
        ("main", &three),
        ("light", &two),
        ("annotated", &two),
        ("nested", &two),
        ("refs/heads/both", &one),
        ("refs/tags/both", &two),
        ("refs/tags/nested", &two),
        (&one, &one),
    ];
    let requests: Vec<Upstream> = expected
        .iter()
        .map(|(reference, _)| Upstream { repository: server.url("up/.git"), reference: (*reference).to_owned() })
        .collect();
    let found = source::resolve(&world.access(), &requests);
    for ((reference, commit), found) in expected.iter().zip(found) {
        assert_eq!(&&found.unwrap().commit, commit, "{reference}");
    }
    assert_eq!(server.count("info/refs"), 1);
}

#[test]
fn other_namespaces_and_head_are_found_by_their_full_name() {
    let world = World::new();
    let up = world.repository("up");
    let [one, _, three] = history(&up);
    up.git(["update-ref", "refs/pull/7/head", &one]);
    assert_eq!(resolve_one(&world, &up.url(), "refs/pull/7/head").unwrap().commit, one);
    assert_eq!(resolve_one(&world, &up.url(), "HEAD").unwrap().commit, three);
}

#[test]
fn refs_that_mean_nothing_or_two_things_are_refused() {
    let world = World::new();
    let up = world.repository("up");
    history(&up);
    for (reference, kind, hint) in [
        ("both", ErrorKind::ConfigError, "write refs/heads/both or refs/tags/both"),
        ("mian", ErrorKind::CloneError, "did you mean `main`?"),
        ("--all", ErrorKind::ConfigError, "name a branch, a tag or a full commit id"),
        ("main:x", ErrorKind::ConfigError, "name a branch, a tag or a full commit id"),
        ("main~1", ErrorKind::ConfigError, "name a branch, a tag or a full commit id"),
        ("abcdef0123", ErrorKind::CloneError, "if it is a commit, write its id in full: 40 or 64 digits"),
    ] {
        let error = resolve_one(&world, &up.url(), reference).unwrap_err();
        assert_eq!((error.kind(), error.hint_text()), (kind, Some(hint)), "{reference}");
    }
    let empty = world.repository("empty");
    let error = resolve_one(&world, &empty.url(), "main").unwrap_err();
    assert!(error.hint_text().unwrap().contains("empty"), "{error:?}");
}

#[test]
fn a_repository_that_does_not_exist_is_a_clone_error() {
    let world = World::new();
    let server = Server::start(world.dir.path(), Behaviour::default());
    for repository in [format!("file://{}/none", world.dir.path().display()), server.url("none")] {
        let error = resolve_one(&world, &repository, "main").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError, "{error:?}");
        assert!(error.hint_text().unwrap().starts_with("check upstream_repo"), "{error:?}");
        let error = prepare_one(&world, request("a", &repository, "main", &"1".repeat(40))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError, "{error:?}");
    }
    assert_eq!(server.count("GET"), 2, "an absent repository was asked for again");
}

#[test]
fn only_allowed_transports_are_used_whatever_insteadof_says() {
    let world = World::new();
    let up = world.repository("up");
    history(&up);
    let rewritten = format!("[url \"ext::touch {} #\"]\n\tinsteadOf = http://evil/\n", world.path("ran").display());
    std::fs::write(world.path("home/.gitconfig"), rewritten).unwrap();
    let error = resolve_one(&world, "http://evil/x", "main").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CloneError, "{error:?}");
    assert!(error.hint_text().unwrap().contains("GIT_ALLOW_PROTOCOL"), "{error:?}");
    assert!(!world.path("ran").exists());
    for repository in ["git://127.0.0.1/x", "ext::sh", "../up", "-x"] {
        assert_eq!(resolve_one(&world, repository, "main").unwrap_err().kind(), ErrorKind::ConfigError, "{repository}");
    }
    let strict = world.access().variable("GIT_ALLOW_PROTOCOL", "https:ssh");
    let asked = Upstream { repository: up.url(), reference: "main".into() };
    assert_eq!(source::resolve(&strict, &[asked]).remove(0).unwrap_err().kind(), ErrorKind::ConfigError);
}

#[test]
fn insteadof_of_the_user_is_honoured() {
    let world = World::new();
    let up = world.repository("up");
    let [.., three] = history(&up);
    let config = format!("[url \"file://{}/\"]\n\tinsteadOf = http://mirror.invalid/\n", world.dir.path().display());
    std::fs::write(world.path("home/.gitconfig"), config).unwrap();
    assert_eq!(resolve_one(&world, "http://mirror.invalid/up", "main").unwrap().commit, three);
}

#[test]
fn missing_credentials_are_an_auth_error_and_nobody_is_asked() {
    let world = World::new();
    let [.., three] = history(&world.repository("up"));
    let server = Server::start(world.dir.path(), Behaviour { credentials: Some("ci:pass"), ..Behaviour::default() });
    let askpass = world.path("askpass");
    std::fs::write(&askpass, format!("#!/bin/sh\ntouch {}\necho wrong\n", world.path("asked").display())).unwrap();
    std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o755)).unwrap();
    let access = world.access().variable("GIT_ASKPASS", &askpass).variable("SSH_ASKPASS", &askpass);
    let asked = Upstream { repository: server.url("up/.git"), reference: "main".into() };
    let error = source::resolve(&access, &[asked]).remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthError, "{error:?}");
    assert!(error.hint_text().unwrap().contains("credential helper"), "{error:?}");
    let fetched = prepare_one(&world, request("a", &server.url("up/.git"), "main", &three)).unwrap_err();
    assert_eq!(fetched.kind(), ErrorKind::AuthError, "{fetched:?}");
    assert!(!world.path("asked").exists(), "somebody was asked for a password");
}

#[test]
fn credentials_of_the_user_work() {
    let world = World::new();
    let [.., three] = history(&world.repository("up"));
    let server = Server::start(world.dir.path(), Behaviour { credentials: Some("ci:pass"), ..Behaviour::default() });
    let url = server.url("up/.git");

    let netrc = world.path("home/.netrc");
    std::fs::write(&netrc, "machine 127.0.0.1 login ci password pass\n").unwrap();
    assert_eq!(resolve_one(&world, &url, "main").unwrap().commit, three);
    std::fs::write(&netrc, "machine 127.0.0.1 login ci password wrong\n").unwrap();
    assert_eq!(resolve_one(&world, &url, "main").unwrap_err().kind(), ErrorKind::AuthError);
    std::fs::remove_file(&netrc).unwrap();

    let helper = "[credential]\n\thelper = \"!f() { echo username=ci; echo password=pass; }; f\"\n";
    std::fs::write(world.path("home/.gitconfig"), helper).unwrap();
    assert_eq!(resolve_one(&world, &url, "main").unwrap().commit, three);
    unpacked(&world, request("a", &url, "main", &three), "files").unwrap();
}

#[test]
fn in_ci_the_jobs_askpass_hands_over_a_token() {
    let world = World::new();
    let [.., three] = history(&world.repository("up"));
    let server = Server::start(world.dir.path(), Behaviour { credentials: Some("pass:pass"), ..Behaviour::default() });
    let askpass = world.path("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho pass\n").unwrap();
    std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o755)).unwrap();
    let access = world.access().variable("GIT_ASKPASS", &askpass).variable("CI", "true");
    let asked = Upstream { repository: server.url("up/.git"), reference: "main".into() };
    assert_eq!(source::resolve(&access, &[asked]).remove(0).unwrap().commit, three);
}

#[test]
fn a_server_that_fails_once_is_asked_again_and_one_that_refuses_is_not() {
    let world = World::new();
    let [.., three] = history(&world.repository("up"));
    let once = Server::start(world.dir.path(), Behaviour { failing: Some((500, 1)), ..Behaviour::default() });
    assert_eq!(resolve_one(&world, &once.url("up/.git"), "main").unwrap().commit, three);
    let fetched = Server::start(world.dir.path(), Behaviour { failing: Some((502, 1)), ..Behaviour::default() });
    prepare_one(&world, request("a", &fetched.url("up/.git"), "main", &three)).unwrap();

    let forbidden = Server::start(world.dir.path(), Behaviour { failing: Some((403, 99)), ..Behaviour::default() });
    assert_eq!(resolve_one(&world, &forbidden.url("up/.git"), "main").unwrap_err().kind(), ErrorKind::AuthError);
    assert_eq!(forbidden.count("GET"), 1);

    let down = Server::start(world.dir.path(), Behaviour { failing: Some((500, 99)), ..Behaviour::default() });
    assert_eq!(resolve_one(&world, &down.url("up/.git"), "main").unwrap_err().kind(), ErrorKind::CloneError);
    assert_eq!(down.count("GET"), 4);
}

/// Three commits of which only the last is at the tip of a branch; tag objects, but no ref itself, name the second.
fn hidden_history(repository: &Repository) -> [String; 3] {
    let commits = ["one", "two", "three"].map(|text| repository.write("file", text).commit(text));
    repository.git(["tag", "-a", "-m", "m", "annotated", &commits[1]]);
    repository.git(["tag", "-a", "-m", "m", "nested", "annotated"]);
    commits
}

#[test]
fn a_server_that_gives_no_commit_by_its_id_is_asked_for_the_ref_and_then_for_everything() {
    let world = World::new();
    let [one, two, three] = hidden_history(&world.repository("up"));
    // The number of conversations: by id; then as a branch, as a tag; then everything.
    for (reference, commit, text, asked) in [
        ("main", &three, "three", 1),
        ("refs/tags/annotated", &two, "two", 2),
        ("nested", &two, "two", 3),
        (one.as_str(), &one, "one", 2),
    ] {
        let server = Server::start(world.dir.path(), Behaviour { old: true, ..Behaviour::default() });
        let into = format!("files-{asked}-{text}");
        unpacked(&world, request("a", &server.url("up/.git"), reference, commit), &into).unwrap();
        assert_eq!(std::fs::read_to_string(world.path(&into).join("file")).unwrap(), text, "{reference}");
        assert_eq!(server.count("info/refs"), asked, "{reference}");
    }
}

#[test]
fn a_branch_that_moved_since_it_was_resolved_gives_the_resolved_commit() {
    let world = World::new();
    let [one, ..] = hidden_history(&world.repository("up"));
    for (old, asked) in [(false, 1), (true, 4)] {
        let server = Server::start(world.dir.path(), Behaviour { old, ..Behaviour::default() });
        let into = format!("files-{old}");
        unpacked(&world, request("a", &server.url("up/.git"), "main", &one), &into).unwrap();
        assert_eq!(std::fs::read_to_string(world.path(&into).join("file")).unwrap(), "one");
        assert!(server.count("info/refs") <= asked);
    }
}

#[test]
fn an_id_that_names_nothing_or_no_commit_is_a_clone_error() {
    let world = World::new();
    let up = world.repository("up");
    history(&up);
    let tree = up.git(["rev-parse", "HEAD^{tree}"]);
    let tag = up.git(["rev-parse", "annotated"]);
    for (id, words) in [("1".repeat(40), "has no commit"), (tree, "is a tree"), (tag, "is a tag")] {
        let error = prepare_one(&world, request("a", &up.url(), &id, &id)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError);
        assert!(error.message().contains(words), "{}", error.message());
    }
}

#[test]
fn images_that_share_a_commit_share_one_fetch_and_one_file() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new();
    let [.., three] = history(&world.repository("up"));
    let server = Server::start(world.dir.path(), Behaviour::default());
    let url = server.url("up/.git");
    let mut wanted: Vec<_> = ["a", "b", "c"].iter().map(|name| request(name, &url, "main", &three)).collect();
    wanted[2].keep_git = true;
    let made = source::prepare(&world.access(), &wanted, &world.path("out"), &|_| {});
    let made: Vec<_> = made.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        made.iter().map(|one| one.file.as_str()).collect::<Vec<_>>(),
        ["a-source.tar.gz", "b-source.tar.gz", "c-source.tar.gz"]
    );
    let inode = |at: usize| std::fs::metadata(world.path("out").join(&made[at].file)).unwrap().ino();
    assert_eq!(inode(0), inode(1));
    assert_ne!(made[0].digest, made[2].digest);
    assert!(server.count("POST") <= 2, "the commit was fetched more than once");
    assert_eq!(super::names(&world.path("out")), ["a-source.tar.gz", "b-source.tar.gz", "c-source.tar.gz"]);
}

#[test]
fn one_failing_upstream_leaves_the_others_alone() {
    let world = World::new();
    let up = world.repository("up");
    let [.., three] = history(&up);
    let absent = format!("file://{}/none", world.dir.path().display());
    let wanted = [
        request("a", &absent, "main", &three),
        request("b", &up.url(), "main", &three),
        request("c", &absent, "main", &three),
    ];
    let made = source::prepare(&world.access(), &wanted, &world.path("out"), &|_| {});
    let kinds: Vec<_> = made.iter().map(|one| one.as_ref().map(|_| ()).map_err(hephy::Error::kind)).collect();
    assert_eq!(kinds, [Err(ErrorKind::CloneError), Ok(()), Err(ErrorKind::CloneError)]);
    assert_eq!(super::names(&world.path("out")), ["b-source.tar.gz"]);
}

#[test]
fn a_server_that_never_answers_runs_into_the_time_limit() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let repository = format!("http://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    let access = world.access().limit(std::time::Duration::from_secs(1));
    let start = std::time::Instant::now();
    let asked = Upstream { repository: repository.clone(), reference: "main".into() };
    let error = source::resolve(&access, &[asked]).remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimeoutError, "{error:?}");
    let wanted = request("a", &repository, "main", &"1".repeat(40));
    let error = source::prepare(&access, &[wanted], &world.path("out"), &|_| {}).remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimeoutError, "{error:?}");
    assert!(start.elapsed().as_secs() < 30);
}
