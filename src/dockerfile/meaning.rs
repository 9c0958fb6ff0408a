//! What the references of a Dockerfile mean under given arguments: a stage, `scratch`, or an image. All as BuildKit
//! has it (`frontend/dockerfile/dockerfile2llb`), but that it refuses variables in `--from`, which Buildah takes: by
//! its rules they are read here, and the caller knows the builder.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::{Expanded, Refusal};
use super::scope::References;
use super::{Dockerfile, ImageUse, UseKind};
use crate::diagnostic::escape_cut;

/// One reference in a stage that is built.
#[derive(Clone, Debug)]
pub struct Use<'a> {
    /// The reference.
    pub image: &'a ImageUse,
    /// Index of the stage that uses it.
    pub stage: usize,
    /// What it means; refused when BuildKit refuses it.
    pub meaning: Result<Meaning, Refusal>,
    /// Its stage and its place therein: that of the stage that is built, or of its base for a trigger.
    pub(super) place: (usize, usize),
}

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A stage of the file, above the one that uses it.
    Stage(usize),
    /// No image at all.
    Scratch,
    /// An image; the text may be empty, or no legal reference.
    Image(String),
}

impl Dockerfile {
    /// Index of the stage that `target` names: the last of that name. None when there is no such stage.
    #[must_use]
    pub fn stage_index(&self, target: &str) -> Option<usize> {
        let named = self.last_named(target, self.stages.len());
        named.or_else(|| target.parse().ok().filter(|index| *index < self.stages.len()))
    }

    fn last_named(&self, name: &str, before: usize) -> Option<usize> {
        let lower = name.to_lowercase();
        self.stages.iter().take(before).rposition(|stage| stage.name.as_deref() == Some(lower.as_str()))
    }

    fn target(&self, target: Option<&str>) -> Option<usize> {
        target.map_or_else(|| self.stages.len().checked_sub(1), |name| self.stage_index(name))
    }

    /// What a reference in stage `index` means. `FROM` knows the stages above it, and no numbers; `COPY --from` and
    /// `RUN --mount=from` know all names, but only stages above theirs can be used; `COPY --from` knows numbers too.
    fn meaning(&self, index: usize, kind: UseKind, text: &str) -> Result<Meaning, Refusal> {
        let stage = match kind {
            UseKind::From => self.last_named(text, index),
            UseKind::MountFrom => self.last_named(text, self.stages.len()),
            UseKind::CopyFrom => match text.parse::<i64>() {
                Ok(number) => Some(usize::try_from(number).unwrap_or(usize::MAX)),
                Err(_) => self.last_named(text, self.stages.len()),
            },
        };
        match stage {
            Some(stage) if stage < index => Ok(Meaning::Stage(stage)),
            Some(stage) => {
                let shown = escape_cut(text, 80);
                let why = if stage < self.stages.len() { "does not stand above this one" } else { "does not exist" };
                Err(Refusal(format!("stage `{shown}` {why}")))
            }
            None if text == "scratch" => Ok(Meaning::Scratch),
            None => Ok(Meaning::Image(text.to_owned())),
        }
    }

    /// What stage `index` refers to: its base, what that one's triggers use, and its own uses.
    fn uses_in<'a>(&'a self, index: usize, references: &References) -> Vec<Use<'a>> {
        let used = |owner: usize, (at, image): (usize, &'a ImageUse)| {
            let expanded = references.at((owner, at)).cloned().unwrap_or_else(|| Ok(Expanded::default()));
            let meaning = expanded.and_then(|expanded| self.meaning(index, image.kind, &expanded.text));
            Use { image, stage: index, meaning, place: (owner, at) }
        };
        let stage = &self.stages[index];
        let from = used(index, (0, &stage.from));
        let base = if let Ok(Meaning::Stage(base)) = from.meaning { Some(base) } else { None };
        let triggers = base.into_iter().flat_map(|base| {
            let behind = 1 + self.stages[base].uses.len();
            self.stages[base].images().enumerate().skip(behind).map(move |image| (base, image))
        });
        let own = stage.images().enumerate().skip(1).take(stage.uses.len()).map(|image| (index, image));
        let others: Vec<_> = triggers.chain(own).map(|(owner, image)| used(owner, image)).collect();
        std::iter::once(from).chain(others).collect()
    }

    /// Everything that building `target` (the last stage when none is given) refers to, by stage; nothing when there
    /// is no such stage.
    #[must_use]
    pub fn uses(&self, target: Option<&str>, references: &References) -> Vec<Use<'_>> {
        let mut queue: Vec<usize> = self.target(target).into_iter().collect();
        let mut reached: BTreeSet<usize> = queue.iter().copied().collect();
        let mut found: BTreeMap<usize, Vec<Use<'_>>> = BTreeMap::new();
        while let Some(index) = queue.pop() {
            let uses = self.uses_in(index, references);
            for used in &uses {
                if let Ok(Meaning::Stage(stage)) = used.meaning
                    && reached.insert(stage)
                {
                    queue.push(stage);
                }
            }
            found.insert(index, uses);
        }
        found.into_values().flatten().collect()
    }

    /// Whether building `target` runs programs of the image's platform: stages with a `--platform` of their own run those
    /// of another one.
    #[must_use]
    pub fn runs_programs(&self, target: Option<&str>, references: &References) -> bool {
        let mut reached = self.uses(target, references).into_iter().filter_map(|used| self.stages.get(used.stage));
        reached.any(|stage| stage.runs && stage.from.platform.is_none())
    }

    /// What the image itself lies on: the `FROM` of the stage that is built, through stages that it is built from. None
    /// for `scratch`.
    #[must_use]
    pub fn underlying(&self, target: Option<&str>, references: &References) -> Option<&ImageUse> {
        let mut index = self.target(target)?;
        loop {
            let from = &self.stages.get(index)?.from;
            let expanded = references.at((index, 0))?.as_ref().ok()?;
            match self.meaning(index, from.kind, &expanded.text) {
                Ok(Meaning::Stage(base)) => index = base,
                Ok(Meaning::Image(_)) => return Some(from),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arguments;
    use super::*;
    use crate::oci::Platform;

    fn parse(text: &str) -> Dockerfile {
        Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap()
    }

    fn arguments(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn meanings(text: &str, target: Option<&str>, arguments: &Arguments) -> Vec<(usize, Result<Meaning, Refusal>)> {
        let file = parse(text);
        let references = file.references(arguments).unwrap();
        file.uses(target, &references).into_iter().map(|used| (used.image.span.line, used.meaning)).collect()
    }

    /// Images from outside with their lines, and what is refused.
    fn found(text: &str, target: Option<&str>, passed: &[(&str, &str)]) -> Vec<(usize, String)> {
        let arguments = Arguments { passed: arguments(passed), ..Arguments::default() };
        let shown = meanings(text, target, &arguments).into_iter().filter_map(|(line, meaning)| match meaning {
            Ok(Meaning::Image(text)) => Some((line, text)),
            Ok(_) => None,
            Err(Refusal(why)) => Some((line, format!("! {why}"))),
        });
        shown.collect()
    }

    fn expect(text: &str, expected: &[(usize, &str)]) {
        let found = found(text, None, &[]);
        assert_eq!(found.iter().map(|(line, text)| (*line, text.as_str())).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn every_kind_of_reference_is_found_with_its_line() {
        let text = "ARG V=1\nFROM golang:${V} AS build\nRUN --mount=type=bind,from=tools:2,source=/x,target=/x \\\n  make\n\
                    FROM scratch\nCOPY --from=build /a /a\nCOPY --chown=0 --from=alpine:3 /b /b\nCOPY --from=0 /c /c\n";
        expect(text, &[(2, "golang:1"), (3, "tools:2"), (7, "alpine:3")]);
    }

    #[test]
    fn the_underlying_image_is_that_of_the_stage_that_is_built() {
        let text = "FROM golang AS build\nFROM alpine AS base\nCOPY --from=busybox /x /x\nFROM base AS run\n\
                    COPY --from=build /a /a\nFROM scratch AS bare\nCOPY --from=build /a /a\n";
        let dockerfile = parse(text);
        let references = dockerfile.references(&Arguments::default()).unwrap();
        let of = |target: Option<&str>| {
            dockerfile.underlying(target, &references).map(|image| (image.text.clone(), image.span.line))
        };
        assert_eq!(of(Some("run")), Some(("alpine".into(), 2)));
        assert_eq!(of(Some("build")), Some(("golang".into(), 1)));
        assert_eq!((of(Some("bare")), of(None), of(Some("none"))), (None, None, None));
    }

    #[test]
    fn stages_that_the_target_does_not_reach_do_not_count() {
        let text = "FROM a AS one\nFROM b AS two\nFROM one AS three\n";
        expect(text, &[(1, "a")]);
        assert_eq!(found(text, Some("two"), &[]), [(2, "b".into())]);
        assert_eq!(found(text, Some("TWO"), &[]), [(2, "b".into())]);
        assert_eq!(found(text, Some("nine"), &[]), []);
    }

    #[test]
    fn a_stage_may_be_named_through_a_variable() {
        let text = "FROM a AS base-amd64\nFROM b AS base-arm64\nFROM base-${TARGETARCH}\n";
        let mut arguments = Arguments::default();
        arguments.predefined.insert("TARGETARCH".into(), "arm64".into());
        let image = |text: &str| Ok(Meaning::Image(text.to_owned()));
        assert_eq!(meanings(text, None, &arguments), [(2, image("b")), (3, Ok(Meaning::Stage(1)))]);
    }

    #[test]
    fn a_stage_name_hides_an_image_only_below_it() {
        let text = "FROM alpine AS first\nFROM first AS alpine\nFROM alpine\n";
        expect(text, &[(1, "alpine")]);
    }

    #[test]
    fn arguments_take_passed_values_then_defaults() {
        let text = "ARG A=1\nARG B=${A}-x C\nFROM a:$B$C\nARG D\n";
        expect(text, &[(3, "a:1-x")]);
        assert_eq!(found(text, None, &[("A", "2"), ("D", "3")]), [(3, "a:2-x".into())]);
        assert_eq!(parse(text).declared_args().collect::<Vec<_>>(), ["A", "B", "C", "D"]);
    }

    #[test]
    fn scratch_is_no_image_however_it_is_named() {
        expect(
            "ARG BASE=scratch\nFROM ${BASE}\nCOPY --from=scratch a b\nRUN --mount=from=\"scratch\",target=/t x\n\
             FROM \"scratch\"\n",
            &[],
        );
    }

    #[test]
    fn from_sees_arguments_above_the_first_from_only() {
        expect("FROM a\nARG V=1\nFROM b:${V:-2}\n", &[(3, "b:2")]);
        expect("ARG V=3\nFROM a\nARG V=1\nFROM b:${V:-2}\n", &[(4, "b:3")]);
        let passed = [("V", "4")];
        assert_eq!(found("FROM a\nARG V\nFROM b:${V:-2}\n", None, &passed), [(3, "b:2".into())]);
        assert_eq!(found("ARG V=1\nFROM b:${V:-2}\n", None, &passed), [(2, "b:4".into())]);
    }

    #[test]
    fn from_in_a_stage_sees_arguments_declared_in_it_above_the_line() {
        let text = "ARG V=1\nARG W=2\nFROM a\nCOPY --from=b:x$V a b\nARG V W=${V}3\nCOPY --from=b:$V a b\n\
                    RUN --mount=from=c:$W,target=/t x\nARG V=4\nRUN --mount=from=c:$V,target=/t x\n";
        expect(text, &[(3, "a"), (4, "b:x"), (6, "b:1"), (7, "c:13"), (9, "c:4")]);
        let found = found(text, None, &[("V", "9")]);
        assert_eq!(found[2..].iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["b:9", "c:93", "c:9"]);
    }

    #[test]
    fn a_default_in_the_file_wins_over_the_platforms_own_arguments() {
        let mut arguments = Arguments::default();
        arguments.predefine(&Platform::linux_amd64());
        let of = |text: &str, arguments: &Arguments| meanings(text, None, arguments)[0].1.clone();
        let image = |text: &str| Ok(Meaning::Image(text.to_owned()));
        assert_eq!(of("FROM a-$TARGETARCH-$BUILDOS\n", &arguments), image("a-amd64-linux"));
        assert_eq!(of("ARG TARGETARCH\nFROM a-$TARGETARCH\n", &arguments), image("a-amd64"));
        assert_eq!(of("ARG TARGETARCH=s390x\nFROM a-$TARGETARCH\n", &arguments), image("a-s390x"));
        arguments.passed.insert("TARGETARCH".into(), "own".into());
        assert_eq!(of("FROM a-$TARGETARCH\n", &arguments), image("a-own"));
    }

    #[test]
    fn an_argument_without_a_value_is_empty() {
        expect("ARG X\nFROM a${X}\n", &[(2, "a")]);
        expect("FROM ${X}\n", &[(1, "")]);
        expect("ARG X=${Y}\nFROM \"a$X\"'$X'\n", &[(2, "a$X")]);
        let file = parse("ARG X=${Y}\nFROM r:$X\n");
        let references = file.references(&Arguments::default()).unwrap();
        assert_eq!(references.of(&file.uses(None, &references)[0]).unwrap().unset, ["Y"]);
    }

    #[test]
    fn what_cannot_be_expanded_is_refused_where_it_stands() {
        expect("FROM ${X?give-one}\n", &[(1, "! X: give-one")]);
        expect("FROM ${X\n", &[(1, "! a `}` is missing behind `${`")]);
        let refusal = parse("ARG A=1\nARG B=${C:?none}\nFROM a\n").references(&Arguments::default()).unwrap_err();
        assert_eq!(refusal, (2, Refusal("C: none".into())));
    }

    #[test]
    fn the_last_stage_of_a_name_counts_and_equal_spelling_is_refused() {
        expect("FROM a AS s\nFROM b AS S\nFROM s\n", &[(2, "b")]);
        expect("FROM a AS s\nFROM s AS S\nFROM S\n", &[(1, "a")]);
        expect("FROM a AS s\nFROM b AS S\nFROM scratch\nCOPY --from=S x y\n", &[(2, "b")]);
        // `--from` knows all names of the file, but stages must stand above.
        expect(
            "FROM a AS s\nFROM scratch AS t\nCOPY --from=s x y\nFROM b AS S\nFROM t\n",
            &[(3, "! stage `s` does not stand above this one")],
        );
        assert_eq!(found("FROM a AS s\nFROM b AS S\n", Some("s"), &[]), [(2, "b".into())]);
        // Builders differ in which of them they mean.
        let refusal = *Dockerfile::parse("f", b"FROM a AS s\nFROM b AS s\n").unwrap_err();
        assert_eq!((refusal.span.line, refusal.message.as_str()), (2, "duplicate stage name 's'"));
    }

    #[test]
    fn from_may_name_neither_its_own_stage_nor_a_later_one() {
        let later = "! stage `b` does not stand above this one";
        expect("FROM x AS a\nCOPY --from=b a b\nFROM y AS b\nFROM a\n", &[(1, "x"), (2, later)]);
        expect("FROM x AS b\nRUN --mount=from=b,target=/t x\n", &[(1, "x"), (2, later)]);
        // FROM is different: a stage is known only below.
        expect("FROM b AS a\nFROM y AS b\nFROM a\n", &[(1, "b")]);
    }

    #[test]
    fn numbers_mean_stages_in_copy_only() {
        expect("FROM a\nFROM scratch\nCOPY --from=0 a b\n", &[(1, "a")]);
        expect("FROM a\nFROM scratch\nCOPY --from=1 a b\n", &[(3, "! stage `1` does not stand above this one")]);
        expect("FROM a\nFROM scratch\nCOPY --from=-1 a b\n", &[(3, "! stage `-1` does not exist")]);
        expect("FROM a\nFROM scratch\nCOPY --from=7 a b\n", &[(3, "! stage `7` does not exist")]);
        expect("FROM a\nFROM scratch\nRUN --mount=from=0,target=/t x\n", &[(3, "0")]);
        expect("FROM a\nFROM 0\n", &[(2, "0")]);
    }

    #[test]
    fn triggers_count_in_stages_that_are_built_from_theirs() {
        let text = "FROM a AS t\nFROM b AS base\nONBUILD COPY --from=t x y\nONBUILD RUN --mount=from=c,target=/t x\n\
                    FROM base AS one\nFROM one AS two\n";
        assert_eq!(found(text, Some("base"), &[]), [(2, "b".into())]);
        expect(text, &[(1, "a"), (2, "b"), (4, "c")]);
        let in_two = meanings(text, Some("two"), &Arguments::default());
        assert_eq!(in_two.iter().filter(|(line, _)| *line == 4).count(), 1);
    }
}
