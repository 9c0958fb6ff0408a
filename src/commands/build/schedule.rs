//! Which image begins next: one that waits for nothing, not one of the next wave. Pure.

use std::collections::BTreeSet;

/// The images of a build job, by their place in its order.
#[derive(Debug)]
pub(super) struct Schedule {
    /// How many images each one still waits for.
    waiting: Vec<usize>,
    /// The images that wait for each one.
    dependents: Vec<Vec<usize>>,
    /// Images whose builder bears no other one beside it.
    alone: Vec<bool>,
    /// What comes first among those that may begin.
    rank: Vec<usize>,
    /// Rank and place of images that may begin.
    ready: BTreeSet<(usize, usize)>,
    /// How many images may be built at the same time.
    jobs: usize,
    running: BTreeSet<usize>,
}

impl Schedule {
    /// `below[i]` are the images that `i` is built on, all of them before it. One at a time they are built in this order;
    /// several at a time, what the longest chain waits for comes first.
    pub(super) fn new(below: &[Vec<usize>], alone: Vec<bool>, jobs: usize) -> Self {
        let mut dependents = vec![Vec::new(); below.len()];
        for (index, below) in below.iter().enumerate() {
            below.iter().for_each(|on| dependents[*on].push(index));
        }
        let mut above = vec![0; below.len()];
        for index in (0..below.len()).rev() {
            above[index] = dependents[index].iter().map(|dependent| above[*dependent] + 1).max().unwrap_or_default();
        }
        let longest = above.iter().max().copied().unwrap_or_default();
        let rank: Vec<usize> = above.iter().map(|above| if jobs > 1 { longest - above } else { 0 }).collect();
        let waiting: Vec<usize> = below.iter().map(Vec::len).collect();
        let ready = (0..below.len()).filter(|index| waiting[*index] == 0).map(|index| (rank[index], index)).collect();
        Self { waiting, dependents, alone, rank, ready, jobs: jobs.max(1), running: BTreeSet::new() }
    }

    /// The image that begins now; none when everything else has to wait for one that is being built, or has begun.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.running.len() >= self.jobs || self.running.iter().any(|index| self.alone[*index]) {
            return None;
        }
        let may = |index: &usize| self.running.is_empty() || !self.alone[*index];
        let chosen = self.ready.iter().find(|(_, index)| may(index)).copied()?;
        self.ready.remove(&chosen);
        self.running.insert(chosen.1);
        Some(chosen.1)
    }

    /// An image has ended, in whatever way: what is built on it may begin, if only to be skipped.
    pub(super) fn ended(&mut self, index: usize) {
        self.running.remove(&index);
        for dependent in &self.dependents[index] {
            self.waiting[*dependent] -= 1;
            if self.waiting[*dependent] == 0 {
                self.ready.insert((self.rank[*dependent], *dependent));
            }
        }
    }

    /// Whether an image is being built.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What begins at each step, where every step ends the image that began first.
    fn steps(below: &[Vec<usize>], alone: &[usize], jobs: usize) -> Vec<Vec<usize>> {
        let alone = (0..below.len()).map(|index| alone.contains(&index)).collect();
        let mut schedule = Schedule::new(below, alone, jobs);
        let (mut steps, mut running) = (Vec::new(), std::collections::VecDeque::new());
        loop {
            let begun: Vec<usize> = std::iter::from_fn(|| schedule.next()).collect();
            running.extend(begun.iter().copied());
            assert!(running.len() <= jobs);
            assert_eq!(schedule.is_running(), !running.is_empty());
            steps.push(begun);
            match running.pop_front() {
                Some(index) => schedule.ended(index),
                None => return steps,
            }
        }
    }

    #[test]
    fn one_at_a_time_the_order_is_kept() {
        let below = [vec![], vec![], vec![], vec![1], vec![3]];
        assert_eq!(steps(&below, &[], 1).concat(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_image_begins_when_what_it_is_built_on_has_ended_and_the_longest_chain_comes_first() {
        // 1 → 3 → 4 is a chain; 0 and 2 stand alone. A wave would keep 3 waiting for 2.
        let below = [vec![], vec![], vec![], vec![1], vec![3]];
        assert_eq!(steps(&below, &[], 2), [vec![1, 0], vec![3], vec![2], vec![4], vec![], vec![]]);
        // Several below, several above.
        let diamond = [vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(steps(&diamond, &[], 8), [vec![0], vec![1, 2], vec![], vec![3], vec![]]);
    }

    #[test]
    fn an_image_that_bears_no_other_beside_it_is_built_alone() {
        let none = vec![Vec::new(); 4];
        assert_eq!(steps(&none, &[0, 1, 2, 3], 4), [vec![0], vec![1], vec![2], vec![3], vec![]]);
        let mixed = steps(&none, &[1], 4);
        assert_eq!(mixed, [vec![0, 2, 3], vec![], vec![], vec![1], vec![]]);
        let first = steps(&none, &[0], 4);
        assert_eq!(first, [vec![0], vec![1, 2, 3], vec![], vec![], vec![]]);
    }

    #[test]
    fn every_image_begins_exactly_once_whatever_the_graph() {
        for seed in 0..200_usize {
            let mut state = seed * 7919 + 1;
            let mut random = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let count = 1 + random(12);
            let below: Vec<Vec<usize>> =
                (0..count).map(|index| (0..index).filter(|_| random(3) == 0).collect()).collect();
            let alone: Vec<usize> = (0..count).filter(|_| random(4) == 0).collect();
            let begun = steps(&below, &alone, 1 + random(4)).concat();
            let mut sorted = begun.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "seed {seed}");
            let at = |index: usize| begun.iter().position(|it| *it == index);
            assert!((0..count).all(|index| below[index].iter().all(|on| at(*on) < at(index))), "seed {seed}");
        }
    }
}
