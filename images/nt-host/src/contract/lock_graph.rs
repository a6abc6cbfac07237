//! In which orders locks were taken: a graph with an edge from each lock to those that were taken while it was held. A
//! circle in it is a deadlock that only waits for its threads to meet.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

/// Edges remembered; locks that come and go stay below it. What is beyond begins anew.
const EDGES_MAX: usize = 4096;

/// The graph. `S` says where a lock was taken.
#[derive(Debug)]
pub struct LockGraph<S> {
    after: BTreeMap<u64, BTreeMap<u64, S>>,
    edges: usize,
}

/// One lock taken while another was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge<S> {
    /// The lock that was held.
    pub held: u64,
    /// The lock that was taken then.
    pub taken: u64,
    /// Where.
    pub place: S,
}

impl<S: Copy> LockGraph<S> {
    /// Makes a graph that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { after: BTreeMap::new(), edges: 0 }
    }

    /// Returns whether `taken` was taken before while `held` was held.
    #[must_use]
    pub fn knows(&self, held: u64, taken: u64) -> bool {
        self.after.get(&held).is_some_and(|after| after.contains_key(&taken))
    }

    /// Remembers that `taken` is taken while `held` is held.
    ///
    /// # Errors
    /// Returns the shortest chain of earlier edges that leads from `taken` to `held`: with this edge it is a circle.
    pub fn add(&mut self, held: u64, taken: u64, place: S) -> Result<(), Vec<Edge<S>>> {
        if held == taken || self.knows(held, taken) {
            return Ok(());
        }
        if let Some(chain) = self.chain(taken, held) {
            return Err(chain);
        }
        if self.edges >= EDGES_MAX {
            self.after.clear();
            self.edges = 0;
        }
        self.after.entry(held).or_default().insert(taken, place);
        self.edges += 1;
        Ok(())
    }

    /// Returns the shortest chain of edges between two locks.
    fn chain(&self, from: u64, to: u64) -> Option<Vec<Edge<S>>> {
        let mut reached_by = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(held) = open.pop_front() {
            for (&taken, &place) in self.after.get(&held).into_iter().flatten() {
                if taken == from || reached_by.contains_key(&taken) {
                    continue;
                }
                reached_by.insert(taken, Edge { held, taken, place });
                if taken == to {
                    let mut chain = Vec::new();
                    let mut at = to;
                    while at != from {
                        let edge = reached_by[&at];
                        chain.push(edge);
                        at = edge.held;
                    }
                    chain.reverse();
                    return Some(chain);
                }
                open.push_back(taken);
            }
        }
        None
    }

    /// Forgets locks: their memory is something else now.
    pub fn forget(&mut self, range: &Range<u64>) {
        self.after.retain(|held, _| !range.contains(held));
        for after in self.after.values_mut() {
            after.retain(|taken, _| !range.contains(taken));
        }
        self.edges = self.after.values().map(BTreeMap::len).sum();
    }
}

impl<S: Copy> Default for LockGraph<S> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn accepts_one_order_any_number_of_times() {
        let mut graph = LockGraph::new();
        for place in 0..3 {
            assert_eq!(graph.add(1, 2, place), Ok(()));
            assert_eq!(graph.add(2, 3, place), Ok(()));
            assert_eq!(graph.add(1, 3, place), Ok(()));
        }
        assert!(graph.knows(1, 3) && !graph.knows(3, 1));
    }

    #[test]
    fn finds_a_circle_of_two_locks() {
        let mut graph = LockGraph::new();
        graph.add(1, 2, "here").unwrap();
        assert_eq!(graph.add(2, 1, "there"), Err(vec![Edge { held: 1, taken: 2, place: "here" }]));
    }

    #[test]
    fn finds_a_circle_of_three_locks_of_which_no_two_were_reversed() {
        let mut graph = LockGraph::new();
        graph.add(1, 2, 'a').unwrap();
        graph.add(2, 3, 'b').unwrap();
        graph.add(2, 9, 'x').unwrap();
        let circle = graph.add(3, 1, 'c').unwrap_err();
        assert_eq!(circle, [Edge { held: 1, taken: 2, place: 'a' }, Edge { held: 2, taken: 3, place: 'b' }]);
    }

    #[test]
    fn ignores_a_lock_that_its_owner_acquires_again() {
        let mut graph = LockGraph::new();
        assert_eq!(graph.add(1, 1, ()), Ok(()));
        assert!(!graph.knows(1, 1));
    }

    #[test]
    fn accepts_another_order_of_a_lock_that_was_forgotten() {
        let mut graph = LockGraph::new();
        graph.add(1, 2, ()).unwrap();
        graph.add(2, 3, ()).unwrap();
        graph.forget(&(2..3));
        assert_eq!(graph.add(3, 2, ()), Ok(()));
        assert_eq!(graph.add(2, 1, ()), Ok(()));
    }

    #[test]
    fn bounds_the_edges_that_are_remembered() {
        let mut graph = LockGraph::new();
        for lock in 1..=2 * EDGES_MAX as u64 {
            graph.add(0, lock, ()).unwrap();
        }
        assert!(graph.edges <= EDGES_MAX && graph.knows(0, 2 * EDGES_MAX as u64));
    }
}
