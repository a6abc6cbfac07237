//! Probes, which drive a driver through calls that no song makes, and the contract's rules that they check.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::handle::Handle;
use crate::memory::Bulk;
use crate::stream::StreamFormat;

/// A probe that [`Request::RunProbe`](crate::Request::RunProbe) runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// Starts the device with resources and services that let the start fail. Runs before
    /// [`Request::StartDevice`](crate::Request::StartDevice).
    Start,
    /// Streams: events, states, limits, interrupts. Opens its own pins.
    Streams {
        /// The filter.
        filter: Handle,
    },
    /// Requests every property of the filter's pins and nodes, with every size and verb.
    Properties {
        /// The filter.
        filter: Handle,
        /// A render pin of the filter.
        pin: Handle,
    },
    /// Announces power states out of order, and opens streams without power.
    Power {
        /// The filter.
        filter: Handle,
    },
    /// Sends events to an open render pin without pause, until all are sent or its allocator stays empty.
    Burst {
        /// The pin, in any state.
        pin: Handle,
        /// Number of events.
        events: u32,
    },
    /// Opens, runs, stops and closes a render pin, sending events.
    Cycles {
        /// The filter.
        filter: Handle,
        /// The pin factory.
        pin: u32,
        /// The data format to connect with.
        format: StreamFormat,
        /// The filter's wave pin and its format, if it has one: frames are pulled from it once the render pin's stream keeps
        /// every event, as a synthesizer may that renders itself.
        wave: Option<(u32, StreamFormat)>,
        /// Number of cycles.
        cycles: u32,
        /// Events to send in each cycle.
        events: u32,
    },
    /// Enables, generates at every level and disables every KS event of the filter, its nodes and a pin; checks what the
    /// driver generates by itself while the pin runs.
    Events {
        /// The filter.
        filter: Handle,
        /// A pin of the filter, stopped.
        pin: Handle,
    },
    /// Puts events to an open render pin in `RUN` as fast as it takes them, and times each call. The events are silent.
    Put {
        /// The pin.
        pin: Handle,
        /// Number of events.
        events: u32,
        /// Events in each call.
        each: u16,
        /// How the events of one call are joined.
        wrapping: Wrapping,
        /// A range of [`Request::AllocateBulk`](crate::Request::AllocateBulk) whose first 8 bytes, a little-endian number,
        /// are incremented right before the first call, so that the harness can time when the events arrive at the card.
        begun: Bulk,
    },
    /// Times interrupts on their way through service routine, DPC and service group to an open capture pin in `RUN`, while
    /// the harness lets messages arrive.
    Interrupts {
        /// The pin.
        pin: Handle,
        /// Number of interrupts.
        count: u32,
    },
    /// Enumerates a filter without a data path: its pins, topology and physical connections, and every property that a
    /// client can request on a filter handle.
    Filter {
        /// The filter.
        filter: Handle,
    },
}

/// How the events of one `PutMessage` call are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrapping {
    /// Linked by `pNextEvt`.
    Chain,
    /// Wrapped in a package.
    Package,
}

/// A rule of the contract, and how often it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// The rule's number.
    pub number: u16,
    /// The rule, as a statement about the driver.
    pub title: String,
    /// The public documentation that states it.
    pub source: String,
    /// How the guest checks it.
    pub how: CheckMethod,
    /// How often it was checked and kept since boot.
    pub held: u32,
}

/// How a guest checks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckMethod {
    /// Whenever the rule applies.
    Always,
    /// By the probe of this name.
    Probe(String),
    /// Not at all, for this reason.
    NotApplicable(String),
}

/// A named count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What was counted.
    pub name: String,
    /// The count.
    pub value: u64,
}
