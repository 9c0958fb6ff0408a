//! What the references of a Dockerfile say: their variables expanded under given arguments, each in its own scope.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::{Expanded, Refusal, Scope};
use super::meaning::Use;
use super::{Arg, Dockerfile, ImageUse, Stage, UseKind};
use crate::oci::Platform;

/// Values that variables may have.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Build arguments: they win over every default.
    pub passed: BTreeMap<String, String>,
    /// `TARGETARCH` and its like: a default in the file wins over them, and `FROM` needs no declaration.
    pub predefined: BTreeMap<String, String>,
}

impl Arguments {
    /// Adds the platform's own arguments. Native runners build: the build platform is the wanted one.
    pub fn predefine(&mut self, platform: &Platform) {
        for side in ["TARGET", "BUILD"] {
            let mut define = |what: &str, value: String| self.predefined.insert(format!("{side}{what}"), value);
            define("PLATFORM", platform.to_string());
            define("OS", platform.os().to_owned());
            define("ARCH", platform.architecture().to_owned());
            define("VARIANT", platform.variant().unwrap_or_default().to_owned());
        }
    }
}

/// What each reference of a file says, its variables expanded, by stage, in the order of [`Stage::images`].
#[derive(Clone, Debug)]
pub struct References {
    texts: Vec<Vec<Result<Expanded, Refusal>>>,
    /// Stages whose `FROM --platform=` is another platform than the one that is built for.
    of_another_platform: BTreeSet<usize>,
}

impl References {
    /// What a reference says.
    pub fn of(&self, used: &Use<'_>) -> Option<&Expanded> {
        self.at(used.place).and_then(|expanded| expanded.as_ref().ok())
    }

    pub(super) fn is_of_another_platform(&self, stage: usize) -> bool {
        self.of_another_platform.contains(&stage)
    }

    pub(super) fn at(&self, (stage, at): (usize, usize)) -> Option<&Result<Expanded, Refusal>> {
        self.texts.get(stage)?.get(at)
    }
}

impl Dockerfile {
    /// Expands every reference. In `FROM`, arguments above the first `FROM` count; elsewhere those that are declared
    /// in the stage, above the line.
    ///
    /// # Errors
    /// The line of an argument above the first `FROM` whose default cannot be expanded.
    pub fn references(&self, arguments: &Arguments) -> Result<References, (usize, Refusal)> {
        let predefined = arguments.predefined.iter();
        let values = predefined.map(|(name, value)| (name.clone(), known(arguments.passed.get(name).unwrap_or(value))));
        let mut global = Scope { values: values.collect(), escape: self.escape };
        for arg in &self.global_args {
            declare(arg, &mut global, arguments, None).map_err(|refusal| (arg.line, refusal))?;
        }
        let texts = self.stages.iter().map(|stage| self.references_of(stage, &global, arguments)).collect();
        let wanted = arguments.predefined.get("TARGETPLATFORM").and_then(|text| Platform::parse(text).ok());
        let is_other = |stage: &Stage| {
            let text = global.expand(stage.from.platform.as_deref()?).ok()?.text;
            // BuildKit takes an architecture alone as well; what is no platform is the builder's to refuse.
            let own = Platform::parse(&text).or_else(|_| Platform::from_arch(&text)).ok()?;
            Some(own != *wanted.as_ref()?)
        };
        let others = self.stages.iter().enumerate().filter(|(_, stage)| is_other(stage) == Some(true));
        Ok(References { of_another_platform: others.map(|(index, _)| index).collect(), texts })
    }

    fn references_of(&self, stage: &Stage, global: &Scope, arguments: &Arguments) -> Vec<Result<Expanded, Refusal>> {
        let mut own = Scope { values: BTreeMap::new(), escape: self.escape };
        let mut args = stage.args.iter().peekable();
        let expand = |image: &ImageUse| {
            if image.kind == UseKind::From {
                return global.expand(&image.text);
            }
            while let Some(arg) = args.next_if(|arg| arg.line < image.span.line) {
                // The builder refuses the argument itself.
                if declare(arg, &mut own, arguments, Some(global)).is_err() {
                    own.values.remove(&arg.name);
                }
            }
            own.expand(&image.text)
        };
        stage.images().map(expand).collect()
    }
}

/// Gives an argument its value: what is passed, its default, or what it has outside the stage.
fn declare(arg: &Arg, scope: &mut Scope, arguments: &Arguments, outside: Option<&Scope>) -> Result<(), Refusal> {
    let value = match (arguments.passed.get(&arg.name), &arg.default) {
        (Some(passed), _) => Some(known(passed)),
        (None, Some(default)) => Some(scope.expand(default)?),
        (None, None) => outside.and_then(|outside| outside.values.get(&arg.name).cloned()),
    };
    if let Some(value) = value {
        scope.values.insert(arg.name.clone(), value);
    }
    Ok(())
}

fn known(value: &str) -> Expanded {
    Expanded { text: value.to_owned(), unset: Vec::new() }
}
