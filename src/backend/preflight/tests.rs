//! The table's own rules, findings and reroutes.

use super::*;

fn asked(feature: Feature) -> Asked {
    Asked {
        construct: Construct::Dockerfile(feature),
        file: "app/Dockerfile".into(),
        span: Span::new(4, 5, 1),
        frontend: None,
    }
}

#[test]
fn each_line_of_the_table_is_there_once() {
    for (at, row) in TABLE.iter().enumerate() {
        let same = |other: &&Row| other.construct == row.construct && other.backend == row.backend;
        assert_eq!(TABLE.iter().position(|other| same(&other)), Some(at), "{row:?}");
    }
}

#[test]
fn a_finding_names_the_line_the_reason_and_who_can() {
    let found = findings(&[asked(Feature::Exclude), asked(Feature::Exclude)], Kaniko, Some(Version(1, 28, 3)));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "kaniko ignores `COPY --exclude`: the excluded files are copied");
    assert_eq!((found[0].file.as_str(), found[0].span.line), ("app/Dockerfile", 4));
    let can = "these can: buildkit from 0.25.0 on, buildah from 1.38.0 on, docker from 28.5.0 on";
    assert_eq!(found[0].notes, [can]);

    // Whoever is named builds the rest of the file too.
    let both = findings(&[asked(Feature::TmpfsMount), asked(Feature::Exclude)], Kaniko, Some(Version(1, 28, 3)));
    assert_eq!(both.len(), 2);
    for finding in &both {
        assert_eq!(finding.notes, [can]);
    }

    let found = findings(&[asked(Feature::CacheMount)], Kaniko, Some(Version(1, 25, 0)));
    assert_eq!(found[0].message, "kaniko 1.25.0 ignores `RUN --mount=type=cache`: nothing is mounted");
    assert_eq!(found[0].notes[0], "kaniko can from version 1.26.0 on");
    // A version that nobody knows is taken for a current one.
    assert!(findings(&[asked(Feature::CacheMount)], Kaniko, None).is_empty());
    let warned = findings(&[asked(Feature::NoNetwork)], Kaniko, None);
    assert_eq!(warned[0].severity, crate::diagnostic::Severity::Warning);
}

#[test]
fn a_frontend_brings_what_it_has_to_every_buildkit() {
    let asked = |minor, labs| Asked { frontend: Some(Frontend { minor, labs }), ..asked(Feature::Parents) };
    let stops = |asked: Asked, backend, version| !findings(&[asked], backend, Some(version)).is_empty();
    let old = Version(0, 11, 0);
    assert!(stops(self::asked(Feature::Parents), Buildkit, old));
    assert!(stops(asked(Some(19), false), Buildkit, old) && stops(asked(Some(6), true), Buildkit, old));
    for (minor, labs) in [(None, false), (Some(20), false), (Some(7), true), (None, true)] {
        assert!(!stops(asked(minor, labs), Buildkit, old), "{minor:?} {labs}");
        assert!(!stops(asked(minor, labs), Docker, Version(23, 0, 0)), "{minor:?} {labs}");
        // The classic engine fetches none, nor does any other builder.
        assert!(stops(asked(minor, labs), Docker, Version(20, 10, 0)));
        assert!(stops(asked(minor, labs), Kaniko, Version(1, 28, 3)));
    }
    let found = findings(&[asked(None, false)], Kaniko, None);
    assert_eq!(found[0].notes, ["these can: buildkit, buildah from 1.40.0 on, docker from 23.0.0 on"]);
}

#[test]
fn the_first_builder_that_can_do_everything_is_taken() {
    let all = [Feature::TmpfsMount, Feature::HereDocument].map(asked);
    let offers = [(Kaniko, None), (Buildah, Some(Version(1, 28, 2))), (Ko, None), (Buildkit, None)];
    assert_eq!(reroute(&all, &offers), Some(Buildkit));
    assert_eq!(reroute(&all[..1], &offers), Some(Buildah));
    assert_eq!(reroute(&all, &offers[..3]), None);
    // A warning is no reason.
    assert_eq!(reroute(&[asked(Feature::NoNetwork)], &offers), Some(Kaniko));
}
