//! The order in which images are built.

/// The order in which images are built: an image stands after everything that it is built on; otherwise the order
/// of the nodes is kept. `edges[i]` are the nodes that `i` is built on.
///
/// # Errors
/// One cycle, as the indexes along it.
pub fn order(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = vec![0; edges.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            waiting[from] += 1;
            dependents[*to].push(from);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..edges.len()).filter(|index| waiting[*index] == 0).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for dependent in &dependents[index] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                ready.insert(*dependent);
            }
        }
    }
    match (0..edges.len()).find(|index| waiting[*index] > 0) {
        None => Ok(order),
        Some(start) => Err(cycle_from(start, edges, &waiting)),
    }
}

/// Walks along unfinished dependencies until a node repeats: everything left over leads into a cycle.
fn cycle_from(start: usize, edges: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    let mut current = start;
    while let Some(next) = edges[current].iter().copied().find(|next| waiting[*next] > 0) {
        if let Some(at) = path.iter().position(|seen| *seen == next) {
            return path.split_off(at);
        }
        path.push(next);
        current = next;
    }
    path
}

/// The length of the longest path below each node. `order` is that of [`order`].
#[must_use]
pub fn waves(edges: &[Vec<usize>], order: &[usize]) -> Vec<u32> {
    let mut waves = vec![0; edges.len()];
    for index in order {
        waves[*index] = edges[*index].iter().map(|to| waves[*to] + 1).max().unwrap_or_default();
    }
    waves
}
