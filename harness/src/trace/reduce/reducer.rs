//! Runs the passes.

use std::collections::{BTreeSet, HashMap};

use card_trace::Header;

use super::candidate::{Part, file};
use super::oracle::Oracle;
use super::passes::{Group, Numbers, Pass};
use crate::trace::replay::ReplayError;

/// Most rounds of all passes: each but the last leaves something out, and two or three are enough.
const ROUNDS_MAX: usize = 12;

/// What a reduction has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Parts that are left.
    pub parts: usize,
    /// Parts at the beginning.
    pub of_parts: usize,
    /// Candidates that were tried.
    pub tests: usize,
    /// Candidates that had been tried before.
    pub cached: usize,
}

/// What a reduction has left.
#[derive(Clone, Debug)]
pub struct Least {
    /// The parts.
    pub parts: Vec<Part>,
    /// The parts that were left before numbers were made less: they fail as well.
    pub as_recorded: Vec<Part>,
    /// What was done.
    pub progress: Progress,
}

/// Reduces parts with an oracle.
pub struct Reducer<'r> {
    header: &'r Header,
    oracle: &'r mut dyn Oracle,
    show: &'r mut dyn FnMut(&'static str, Progress),
    tried: HashMap<u64, bool>,
    progress: Progress,
    pass: &'static str,
}

impl<'r> Reducer<'r> {
    /// Returns a reducer of a recording with this header; `show` gets its progress, with the name of the pass.
    pub fn new(
        header: &'r Header,
        oracle: &'r mut dyn Oracle,
        show: &'r mut dyn FnMut(&'static str, Progress),
    ) -> Self {
        Self { header, oracle, show, tried: HashMap::new(), progress: Progress::default(), pass: "all" }
    }

    /// Returns the least of these parts that fails, and what was done; `None` when all of them together do not fail. The failure is
    /// first seen at the record `seen_at` of the recording.
    ///
    /// # Errors
    /// [`ReplayError`] when a candidate cannot be tried.
    pub fn reduce(mut self, mut parts: Vec<Part>, seen_at: u64) -> Result<Option<Least>, ReplayError> {
        self.progress.of_parts = parts.len();
        self.progress.parts = parts.len();
        // What follows the failure does not lead to it, but for an answer that the failure is seen by.
        let before: Vec<Part> = parts.iter().filter(|part| part.record.number <= seen_at).cloned().collect();
        if before.len() < parts.len() && self.fails(&before)? {
            parts = before;
        } else if !self.fails(&parts)? {
            return Ok(None);
        }
        self.rounds(&mut parts)?;
        let as_recorded = parts.clone();
        self.pass = "faults";
        self.numbers(&mut parts, Numbers::OfFaults)?;
        self.rounds(&mut parts)?;
        self.pass = "bytes";
        self.bytes(&mut parts)?;
        self.pass = "frames";
        self.numbers(&mut parts, Numbers::All)?;
        Ok(Some(Least { parts, as_recorded, progress: self.progress }))
    }

    /// Runs all passes until none leaves something out.
    fn rounds(&mut self, parts: &mut Vec<Part>) -> Result<(), ReplayError> {
        for _ in 0..ROUNDS_MAX {
            let before = parts.len();
            for pass in Pass::ALL {
                self.pass = pass.name();
                let groups = pass.groups(parts);
                self.sweep(parts, groups)?;
            }
            if parts.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Leaves out chunks of groups from the end on, while what is left fails; chunks are halved down to one group.
    fn sweep(&mut self, parts: &mut Vec<Part>, mut groups: Vec<Group>) -> Result<(), ReplayError> {
        let mut chunk = groups.len();
        while chunk > 0 {
            let mut end = groups.len();
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let without: BTreeSet<u32> = groups[begin..end].iter().flatten().copied().collect();
                let rest: Vec<Part> = parts.iter().filter(|part| !without.contains(&part.id)).cloned().collect();
                if rest.len() < parts.len() && self.fails(&rest)? {
                    *parts = rest;
                    groups.drain(begin..end);
                }
                end = begin;
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
        Ok(())
    }

    /// Returns whether a candidate fails, and remembers it.
    ///
    /// # Errors
    /// [`ReplayError`] when it cannot be tried.
    pub(super) fn fails(&mut self, parts: &[Part]) -> Result<bool, ReplayError> {
        let Ok(file) = file(self.header, parts) else { return Ok(false) };
        let hash = card_trace::pcm_hash(&file);
        let known = self.tried.get(&hash).copied();
        let fails = match known {
            Some(fails) => {
                self.progress.cached += 1;
                fails
            }
            None => {
                self.progress.tests += 1;
                self.oracle.fails(&file, parts)?
            }
        };
        self.tried.insert(hash, fails);
        if fails {
            self.progress.parts = parts.len();
        }
        (self.show)(self.pass, self.progress);
        Ok(fails)
    }
}
