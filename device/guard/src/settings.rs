//! The options of a guard, which it gets before it serves.

use crate::connector::Connector;
use crate::finding::Finding;
use crate::limits::{CONFIG_BYTES_MAX, Limits};
use crate::loss::BackendChange;

/// The reason for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The front-end has disconnected.
    Disconnected,
    /// The stop descriptor has become readable.
    Stopped,
}

/// What a read of the configuration shows while the back-end that the driver knew is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossMark {
    /// The offset in configuration space.
    pub offset: u8,
    /// The value of the byte there. It replaces the back-end's.
    pub value: u8,
}

type FindingCallback = dyn Fn(&Finding) + Send + Sync;
type BackendCallback = dyn Fn(&BackendChange) + Send + Sync;
type ConfigSource = dyn Fn() -> [u8; CONFIG_BYTES_MAX] + Send + Sync;

/// The options of a guard.
pub(crate) struct Settings {
    pub(crate) connector: Connector,
    pub(crate) limits: Limits,
    pub(crate) config: Option<Box<ConfigSource>>,
    pub(crate) loss_mark: Option<LossMark>,
    pub(crate) in_order: bool,
    pub(crate) reads_kicks: bool,
    pub(crate) on_finding: Option<Box<FindingCallback>>,
    pub(crate) on_backend: Option<Box<BackendCallback>>,
}

impl Settings {
    /// Calls back about what is wrong.
    pub(crate) fn report(&self, finding: &Finding) {
        if let Some(callback) = &self.on_finding {
            callback(finding);
        }
    }

    /// Calls back about the back-end.
    pub(crate) fn report_backend(&self, change: &BackendChange) {
        if let Some(callback) = &self.on_backend {
            callback(change);
        }
    }
}
