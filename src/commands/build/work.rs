//! Builds several images at the same time, each in a thread of its own. The order of results, and which failure decides,
//! is that of the plan, however long each takes.

use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::schedule::Schedule;
use super::{Event, Job, Outcome, State, results};
use crate::backend::backend;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::ImageName;
use crate::plan::PlannedImage;
use crate::result::BuildResult;

/// How one image ended; nothing when its thread did not come to an end.
type Ended = (usize, Option<(BuildResult, Option<Error>)>);

/// Tells that an image has ended, even where a bug ends its thread.
struct Teller {
    told: mpsc::Sender<Ended>,
    ended: Ended,
}

impl Drop for Teller {
    fn drop(&mut self) {
        let nothing = (self.ended.0, None);
        // Nobody listens any more only after a bug of our own.
        let _ = self.told.send(std::mem::replace(&mut self.ended, nothing));
    }
}

impl Job<'_> {
    /// Builds images, each before those that are built on it. After a signal nothing begins any more.
    pub(super) fn build_all(&self, images: &[&PlannedImage]) -> Result<Outcome> {
        let mut schedule = self.schedule(images);
        let mut ended: Vec<Option<(BuildResult, Option<Error>)>> = images.iter().map(|_| None).collect();
        let (mut stopped, mut broken) = (false, None);
        let (told, heard) = mpsc::channel();
        std::thread::scope(|scope| {
            loop {
                while let Some(index) = if stopped { None } else { schedule.next() } {
                    let (told, image) = (told.clone(), images[index]);
                    scope.spawn(move || {
                        let mut teller = Teller { told, ended: (index, None) };
                        teller.ended.1 = Some(self.build(image));
                    });
                }
                if !schedule.is_running() {
                    break;
                }
                let Ok((index, outcome)) = heard.recv() else { break };
                stopped |= outcome.as_ref().is_none_or(is_cancelled);
                if let Some((result, _)) = &outcome
                    && let Err(error) = self.take(result)
                {
                    stopped = true;
                    broken.get_or_insert(error);
                }
                ended[index] = outcome;
                schedule.ended(index);
            }
        });
        match broken {
            Some(error) => Err(error),
            None => Ok(whole(images, outcome_of(ended.into_iter().flatten()))),
        }
    }

    fn schedule(&self, images: &[&PlannedImage]) -> Schedule {
        let place = |name: &ImageName| images.iter().position(|image| image.name == *name);
        let below = |image: &&PlannedImage| {
            let needed = image.dependencies.iter().filter(|it| it.is_for(&self.options.platform));
            let places: std::collections::BTreeSet<usize> = needed.filter_map(|it| place(&it.name)).collect();
            places.into_iter().collect()
        };
        let below: Vec<Vec<usize>> = images.iter().map(below).collect();
        let alone: Vec<bool> = images.iter().map(|image| self.builds_alone(image)).collect();
        let jobs = self.options.jobs.max(1);
        if jobs > 1
            && alone.iter().filter(|alone| **alone).count() > 1
            && let Some(image) = images.iter().find(|image| self.builds_alone(image))
        {
            (self.observer)(Event::OneAtATime { backend: image.backend });
        }
        Schedule::new(&below, alone, jobs)
    }

    /// Whether the image's builder bears no other build on this machine beside it.
    fn builds_alone(&self, image: &PlannedImage) -> bool {
        let tool = self.tools.get(&image.backend).filter(|_| image.manual_images.is_none());
        tool.is_some_and(|tool| !backend(image.backend).shares_machine(tool))
    }

    /// Writes down how an image ended, for other jobs and for those that are built on it.
    fn take(&self, result: &BuildResult) -> Result<()> {
        results::write(&self.options.out, result)?;
        (self.observer)(Event::Finished(result));
        self.state().done.insert(result.image.clone(), result.clone());
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_cancelled((_, error): &(BuildResult, Option<Error>)) -> bool {
    error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Cancelled)
}

/// Images that nothing is said of are a failure: their job must not look as if it had built them.
fn whole(images: &[&PlannedImage], mut outcome: Outcome) -> Outcome {
    let has_result = |image: &&&PlannedImage| outcome.results.iter().any(|result| result.image == image.name);
    if outcome.failure.is_none()
        && outcome.results.len() < images.len()
        && let Some(image) = images.iter().find(|image| !has_result(image))
    {
        outcome.failure = Some(Error::internal(format!("{} was not built, and nothing says why", image.name)));
    }
    outcome
}

/// The first failure decides, but a signal decides over whatever failed before.
fn outcome_of(ended: impl Iterator<Item = (BuildResult, Option<Error>)>) -> Outcome {
    let mut outcome = Outcome { needed: true, results: Vec::new(), failure: None };
    for (result, error) in ended {
        let cancelled = error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Cancelled);
        if outcome.failure.is_none() || cancelled {
            outcome.failure = error.or(outcome.failure);
        }
        outcome.results.push(result);
    }
    outcome
}
