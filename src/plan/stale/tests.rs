use super::*;

fn digest(seed: &str) -> Digest {
    Digest::of(seed.as_bytes())
}

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

fn used(reference: &str, at: &str) -> UsedBase {
    UsedBase { reference: reference.into(), platform: platform(at), file: "curl/Dockerfile".into(), line: 1 }
}

/// What `alpine:3` was, as recorded for amd64 and arm64.
fn recorded() -> RecordedBases {
    let digests = ["linux/amd64", "linux/arm64"].map(|at| (platform(at), digest(at)));
    [("alpine:3".to_owned(), BTreeMap::from(digests))].into()
}

fn state(used_base: UsedBase, now: Option<Now>) -> BaseState {
    let now = now.into_iter().map(|now| ("alpine:3".to_owned(), now)).collect();
    check(vec![used_base], &recorded(), &now).remove(0).state
}

fn index(platforms: &[(&str, &str)]) -> Option<Now> {
    Some(Now::Index(platforms.iter().map(|(at, seed)| (platform(at), digest(seed))).collect()))
}

#[test]
fn a_base_is_compared_for_each_platform_by_itself() {
    let now = || index(&[("linux/amd64", "linux/amd64"), ("linux/arm64", "new")]);
    let fresh = BaseState::Fresh { digest: digest("linux/amd64") };
    assert_eq!(state(used("alpine:3", "linux/amd64"), now()), fresh);
    let moved = BaseState::Moved { was: digest("linux/arm64"), now: digest("new") };
    assert_eq!(state(used("alpine:3", "linux/arm64"), now()), moved);
}

#[test]
fn one_image_answers_by_its_own_digest() {
    let fresh = BaseState::Fresh { digest: digest("linux/amd64") };
    assert_eq!(state(used("alpine:3", "linux/amd64"), Some(Now::Image(digest("linux/amd64")))), fresh);
    let moved = BaseState::Moved { was: digest("linux/amd64"), now: digest("new") };
    assert_eq!(state(used("alpine:3", "linux/amd64"), Some(Now::Image(digest("new")))), moved);
}

#[test]
fn what_cannot_be_read_or_was_not_recorded_is_never_guessed() {
    let unreadable = |state: BaseState| matches!(state, BaseState::Unreadable { .. });
    let unknown = |state: BaseState| matches!(state, BaseState::Unknown { .. });
    assert!(unreadable(state(used("alpine:3", "linux/amd64"), Some(Now::Gone))));
    assert!(unreadable(state(used("alpine:3", "linux/amd64"), index(&[("linux/arm64", "x")]))));
    let failed = Now::Failed { kind: ErrorKind::AuthError, why: "403".into() };
    assert!(unreadable(state(used("alpine:3", "linux/amd64"), Some(failed))));
    assert!(unknown(state(used("alpine:3", "linux/s390x"), index(&[("linux/arm64", "x")]))));
    assert!(unknown(state(used("alpine:3", "linux/s390x"), Some(Now::Gone))));
    assert!(unknown(state(used("debian:12", "linux/amd64"), None)));
    assert_eq!(state(used(&format!("alpine:3@{}", digest("x")), "linux/amd64"), None), BaseState::Pinned);
}

#[test]
fn what_could_not_be_looked_up_when_it_was_built_may_be_anything() {
    let unrecorded = BaseState::Unrecorded { now: digest("x") };
    assert_eq!(state(used("alpine:3", "linux/s390x"), index(&[("linux/s390x", "x")])), unrecorded);
    let nothing = [("alpine:3".to_owned(), BTreeMap::new())].into();
    assert_eq!(to_look_up(&[used("alpine:3", "linux/amd64")], &nothing), ["alpine:3"].into());
}

#[test]
fn what_is_pinned_or_has_no_record_is_not_looked_up() {
    let bases = [
        used("alpine:3", "linux/amd64"),
        used("alpine:3", "linux/arm64"),
        used("debian:12", "linux/amd64"),
        used(&format!("alpine:3@{}", digest("x")), "linux/amd64"),
    ];
    assert_eq!(to_look_up(&bases, &recorded()), ["alpine:3"].into());
}

#[test]
fn what_is_stale_and_cannot_be_built_holds_back_all_above_it() {
    let names = ["gone", "on-gone", "above", "moved", "failed", "beside"].map(|name| ImageName::parse(name).unwrap());
    let failed = Now::Failed { kind: ErrorKind::AuthError, why: "403".into() };
    let states = [Some(Now::Gone), None, None, Some(Now::Image(digest("new"))), Some(failed), Some(Now::Gone)];
    let bases = states.map(|now| match now {
        Some(now) => check(vec![used("alpine:3", "linux/amd64")], &recorded(), &[("alpine:3".into(), now)].into()),
        None => Vec::new(),
    });
    let built_on: [&[usize]; 6] = [&[], &[3, 0], &[1], &[], &[], &[]];
    let images: Vec<Checked<'_>> =
        (0..6).map(|at| Checked { name: &names[at], bases: &bases[at], built_on: built_on[at], below: &[] }).collect();
    let told = |stale: &[usize]| {
        let found = unbuildable(&images, &stale.iter().copied().collect());
        found.into_iter().map(|(index, why)| format!("{index}: {why}")).collect::<Vec<_>>()
    };
    let all = ["0: a base of it is gone", "1: it is built on gone", "2: it is built on on-gone"];
    assert_eq!(told(&[0, 1, 2, 3, 4]), all);
    assert_eq!(told(&[0, 2, 3]), all[..1], "1 is not rebuilt, so 2 does not wait for it");
    assert!(told(&[1, 2, 3, 4]).is_empty());
}

/// 0 has a moved base, 1 is built on 0, 2 on 1, 3 has an unreadable base.
fn reasons(among: &[usize]) -> Vec<String> {
    let names = ["a", "b", "c", "d"].map(|name| ImageName::parse(name).unwrap());
    let based = |now: Now| {
        let now = [("alpine:3".to_owned(), now)].into();
        check(vec![used("alpine:3", "linux/amd64")], &recorded(), &now)
    };
    let bases = [based(Now::Image(digest("new"))), Vec::new(), Vec::new(), based(Now::Gone)];
    let built_on: [&[usize]; 4] = [&[], &[0], &[1], &[]];
    let images: Vec<Checked<'_>> =
        (0..4).map(|at| Checked { name: &names[at], bases: &bases[at], built_on: built_on[at], below: &[] }).collect();
    let among = among.iter().copied().collect();
    let texts = |reasons: Vec<Reason>| reasons.into_iter().map(|it| it.text).collect::<Vec<_>>().join("; ");
    stale(&images, &among).into_iter().map(texts).collect()
}

#[test]
fn a_moved_base_travels_along_the_graph_as_far_as_images_are_considered() {
    let moved = format!("alpine:3 moved (linux/amd64): {} → {}", short(&digest("linux/amd64")), short(&digest("new")));
    assert_eq!(reasons(&[0, 1, 2, 3]), [moved.as_str(), "built on a", "built on b", ""]);
    assert_eq!(reasons(&[0, 2]), [moved.as_str(), "", "", ""], "1 is not rebuilt, so 2 is not");
    assert_eq!(reasons(&[1, 2, 3]), ["", "", "", ""]);
}

#[test]
fn what_lies_below_may_have_been_rebuilt_since() {
    let (name, index) = (ImageName::parse("curl").unwrap(), digest("index"));
    let now = BTreeMap::from([(platform("linux/amd64"), digest("now"))]);
    let told = |was: &str, at: &str| {
        let recorded = BTreeMap::from([(platform(at), digest(was))]);
        let below = Below { name: &name, recorded: &recorded, index: &index, platforms: &now };
        rebuilt(&[below]).into_iter().map(|reason| reason.text).collect::<Vec<_>>()
    };
    let moved = format!("curl was rebuilt since (linux/amd64): {} → {}", short(&digest("was")), short(&digest("now")));
    assert_eq!(told("was", "linux/amd64"), [moved]);
    for same in ["now", "index"] {
        assert!(told(same, "linux/amd64").is_empty());
    }
    assert!(told("was", "linux/arm64").is_empty(), "a platform that is gone is no rebuild");
}
