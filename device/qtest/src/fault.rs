//! A row of the table: an error of a driver, and the diagnosis that the card must make of it.

use std::fmt;
use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::identity::NO_QUEUE;
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::machine::Kind;

/// The error that a driver makes.
pub type Act = Arc<dyn Fn(&mut Driver) -> Result + Send + Sync>;

/// The diagnosis that the card must make first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This, on this queue (or on none).
    First(Diagnosis, Option<Queue>),
    /// This on this queue, or nothing: QEMU decides whether the card sees it.
    FirstOrKept(Diagnosis, Option<Queue>),
    /// Anything or nothing: it depends on chance, or on the bytes that happen to be in guest memory.
    Anything,
}

impl Expected {
    /// Nothing: the specification allows it, or QEMU keeps it from the card.
    pub const NOTHING: Self = Self::First(Diagnosis::NONE, None);

    /// Returns whether a diagnosis on a queue, as the identity block gives both, is what was expected.
    #[must_use]
    pub fn holds(self, code: Diagnosis, queue: u16) -> bool {
        let is = |expected: Diagnosis, on: Option<Queue>| {
            // Without an error the queue has no meaning.
            expected == code && (code == Diagnosis::NONE || on.map_or(NO_QUEUE, |on| on.0) == queue)
        };
        match self {
            Self::First(expected, on) => is(expected, on),
            Self::FirstOrKept(expected, on) => is(expected, on) || code == Diagnosis::NONE,
            Self::Anything => true,
        }
    }

    /// Returns the code that is expected, if it is one.
    #[must_use]
    pub const fn code(self) -> Option<Diagnosis> {
        match self {
            Self::First(code, _) | Self::FirstOrKept(code, _) => Some(code),
            Self::Anything => None,
        }
    }

    /// Returns whether a diagnosis is certain to come, and can be waited for.
    #[must_use]
    pub fn is_certain(self) -> bool {
        matches!(self, Self::First(code, _) if code != Diagnosis::NONE)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(code, queue) => f.write_str(&found(*code, *queue)),
            Self::FirstOrKept(code, queue) => write!(f, "{} or NONE", found(*code, *queue)),
            Self::Anything => f.write_str("any"),
        }
    }
}

/// Returns a diagnosis and its queue as the table has them.
pub(crate) fn found(code: Diagnosis, queue: Option<Queue>) -> String {
    match queue {
        Some(queue) if code != Diagnosis::NONE => format!("{code} ({queue})"),
        _ => code.to_string(),
    }
}

/// The machine's state after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A fresh driver can play on it.
    Recovers,
    /// It is replaced, because memory that was taken from it does not come back. The card answers all the same.
    Replaced,
}

/// A row.
#[derive(Clone)]
pub struct Fault {
    /// The kind of error.
    pub area: &'static str,
    /// The error, in words.
    pub name: String,
    /// On which queue, if on one.
    pub queue: Option<Queue>,
    /// The diagnosis that the card must make.
    pub expected: Expected,
    /// The kind of machine.
    pub kind: Kind,
    /// The state of device and driver before.
    pub from: DriverState,
    /// The machine's state after the act.
    pub after: After,
    /// The act.
    pub act: Act,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("area", &self.area).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Collects rows of one area.
#[derive(Debug)]
pub struct Rows {
    area: &'static str,
    rows: Vec<Fault>,
}

impl Rows {
    /// Returns an empty list of rows of one area.
    #[must_use]
    pub const fn of(area: &'static str) -> Self {
        Self { area, rows: Vec::new() }
    }

    /// Adds a row on a lockstep machine, and returns it for changes.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        from: DriverState,
        expected: Expected,
        act: impl Fn(&mut Driver) -> Result + Send + Sync + 'static,
    ) -> &mut Fault {
        let queue = match expected {
            Expected::First(_, queue) | Expected::FirstOrKept(_, queue) => queue,
            Expected::Anything => None,
        };
        self.rows.push(Fault {
            area: self.area,
            name: name.into(),
            queue,
            expected,
            kind: Kind::Lockstep,
            from,
            after: After::Recovers,
            act: Arc::new(act),
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// Returns the rows.
    #[must_use]
    pub fn done(self) -> Vec<Fault> {
        self.rows
    }
}

/// Returns the expectation of this code on this queue.
#[must_use]
pub const fn on(queue: Queue, code: Diagnosis) -> Expected {
    Expected::First(code, Some(queue))
}
