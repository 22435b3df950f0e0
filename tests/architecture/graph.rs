//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet};

/// Groups of nodes that can reach each other, each sorted.
pub fn circles<T: Ord + Clone>(graph: &BTreeMap<T, BTreeSet<T>>) -> Vec<Vec<T>> {
    let reached: BTreeMap<&T, BTreeSet<&T>> = graph.keys().map(|node| (node, reach(graph, node))).collect();
    let mut found = BTreeSet::new();
    for (node, far) in &reached {
        let back = |other: &&&T| reached.get(**other).is_some_and(|far| far.contains(node));
        let circle: Vec<T> = far.iter().filter(back).map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// Every node that an arrow or a chain of them leads to.
fn reach<'a, T: Ord>(graph: &'a BTreeMap<T, BTreeSet<T>>, start: &T) -> BTreeSet<&'a T> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&T> = graph.get(start).into_iter().flatten().collect();
    while let Some(node) = next.pop() {
        if reached.insert(node) {
            next.extend(graph.get(node).into_iter().flatten());
        }
    }
    reached
}
