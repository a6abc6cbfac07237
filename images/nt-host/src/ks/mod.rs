//! This guest's own `ks.sys`: the helpers of kernel streaming that PortCls drivers take from it beside their port.
//!
//! What is here works on structures that the driver keeps: events, property and method tables, queues of requests that
//! can be cancelled, workers, headers by which it dispatches requests itself. What needs objects of its own (devices,
//! filters and pins of AVStream, clocks, allocators, handles to other drivers' pins) is not: a driver that imports it is no
//! PortCls miniport, and [`missing`] says so.

#![cfg(any(test, target_os = "none"))]

pub mod layout;

#[cfg(target_os = "none")]
pub mod event;
#[cfg(target_os = "none")]
mod handler;
#[cfg(target_os = "none")]
mod object;
#[cfg(target_os = "none")]
mod queue;
#[cfg(target_os = "none")]
mod services;
#[cfg(target_os = "none")]
mod worker;

/// What drivers import from `ks.sys`.
#[cfg(target_os = "none")]
pub static EXPORT_TABLES: &[&[crate::contract::export::Export]] =
    &[event::EXPORTS, handler::EXPORTS, object::EXPORTS, queue::EXPORTS, services::EXPORTS, worker::EXPORTS];

/// Returns what drivers have taken here and not given back, for the report at unload.
#[cfg(target_os = "none")]
#[must_use]
pub(crate) fn leftovers() -> alloc::vec::Vec<alloc::string::String> {
    let count = |number: usize, what| (number > 0).then(|| alloc::format!("{number} {what}"));
    [
        count(event::outstanding(), "events that are enabled"),
        count(object::outstanding(), "device or object headers of ks.sys"),
        count(worker::registered(), "workers of ks.sys"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Beginnings of the names of functions that this `ks.sys` lacks, and what they belong to.
const MISSING: &[(&str, &str)] = &[
    ("KsPin", "AVStream's pins"),
    ("KsFilter", "AVStream's filters"),
    ("KsStreamPointer", "AVStream's stream pointers"),
    ("KsDevice", "AVStream's devices"),
    ("KsInitializeDriver", "AVStream's devices"),
    ("KsAddDevice", "AVStream's devices"),
    ("KsCompletePendingRequest", "AVStream's requests"),
    ("KsAddEvent", "AVStream's objects: PortCls drivers use IPortEvents"),
    ("KsGenerateEvents", "AVStream's objects: PortCls drivers use IPortEvents"),
    ("KsCreate", "handles to objects of other drivers, which this guest has not"),
    ("KsValidate", "create requests, which PortCls takes itself"),
    ("KsAllocate", "clocks and bags of a driver that is its own class driver"),
    ("KsSynchronousIoControlDevice", "handles to objects of other drivers, which this guest has not"),
    ("KsProbeStreamIrp", "stream requests, which PortCls takes itself"),
];

/// Returns what a function of Windows' `ks.sys` belongs to that this guest does not have.
#[must_use]
pub fn missing(name: &str) -> Option<&'static str> {
    MISSING.iter().find(|(start, _)| name.starts_with(start)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_a_missing_function_belongs_to() {
        assert_eq!(missing("KsPinGetLeadingEdgeStreamPointer"), Some("AVStream's pins"));
        assert_eq!(missing("KsGenerateEvent"), None);
    }
}
