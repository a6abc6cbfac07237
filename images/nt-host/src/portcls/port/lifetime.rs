//! The end of a port's life with its miniport: unregistered, removed, and what must be released by then.

#![allow(unsafe_code, reason = "groups are called by slot number")]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::{Bound, MINIPORT_GROUP, Port};
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::portcls::com::object::{self, Com};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::ks::event_list;
use crate::portcls::services::resources::ResourceList;

impl Com<Port> {
    /// Unregisters the subdevice: its miniport goes now, or with the last open stream. What the driver still holds of
    /// port and miniport is its own affair from now on; the objects are watched until unload.
    pub(crate) fn depart(&self) {
        self.departing.store(true, Ordering::Relaxed);
        self.finish_departure();
    }

    /// Releases the miniport of an unregistered port when its last stream is closed.
    pub(crate) fn finish_departure(&self) {
        if !self.departing.load(Ordering::Relaxed) || self.with(|bound| !bound.streams.is_empty()).unwrap_or(true) {
            return;
        }
        self.check_description();
        let Some(bound) = self.unbind() else { return };
        bound.release();
    }

    /// Takes the port from its miniport: no events, no service group.
    pub(super) fn unbind(&self) -> Option<Bound> {
        if let Some(major) = self.major_target() {
            event_list::end_port(self.as_raw() as usize, major.as_raw());
        }
        let mut bound = self.bound.with(Option::take)?;
        self.remove_group(MINIPORT_GROUP);
        if let Some(group) = self.registered.with(Option::take) {
            // SAFETY: the reference keeps the group; the sink is this port's, which lives.
            unsafe { slots::service_group::remove_member(group.as_raw(), self.sink.address()) };
        }
        if let Some(group) = bound.group.take() {
            object::release_group(group, bound.kind.group_rule());
        }
        Some(bound)
    }

    /// Unbinds the port from its miniport, in the order of a device's removal, and checks that nothing is left.
    pub(crate) fn shut_down(&self) {
        if !self.is_bound() {
            return;
        }
        self.check_description();
        let Some(bound) = self.unbind() else { return };
        drop((bound.adapter, bound.pin_count));
        drop(bound.unknown);
        let miniport = Arc::into_inner(bound.miniport).map_or(0, Foreign::release);
        if miniport != 0 {
            violation(
                "IMiniportDMus::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the port has given the miniport up, and {miniport} references are left"),
                    "release the miniport at the end of StartDevice, in each stream's destructor, and wherever QueryInterface was called",
                ),
            )
        }
        let references = self.references();
        if references != 1 {
            violation(
                "IPortDMus",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the miniport is gone, and {} references to its port are left", references - 1),
                    "release the port at the end of StartDevice and in the miniport's destructor",
                ),
            )
        }
        if let Some(bare_adapter) = bound.bare_adapter.filter(|bare_adapter| bare_adapter.references() != 1) {
            violation(
                "IMiniportDMus::Release",
                Violation::new(
                    rules::UNKNOWN_ADAPTER,
                    format!(
                        "the miniport is gone, and keeps {} references to UnknownAdapter",
                        bare_adapter.references() - 1
                    ),
                    "release in the destructor what Init AddRefed, or queried",
                ),
            )
        }
        check_list(bound.resources);
        rules::REFERENCES_RETURNED.held();
    }
}

/// The resource lists that ports hold, one entry for each port: subdevices may share one.
pub(super) static LISTS: Lock<Vec<usize>> = Lock::new(Vec::new());

/// Forgets that a port holds the list. Returns how many other ports hold it.
pub(super) fn forget_list(list: &Com<ResourceList>) -> u32 {
    let address = list.as_raw() as usize;
    LISTS.with(|lists| {
        if let Some(index) = lists.iter().position(|held| *held == address) {
            lists.swap_remove(index);
        }
        lists.iter().filter(|held| **held == address).count() as u32
    })
}

/// Checks that only ports hold the resource list.
fn check_list(list: Option<Com<ResourceList>>) {
    let Some(list) = list else { return };
    let others = forget_list(&list);
    if list.references() != 1 + others {
        violation(
            "IResourceList",
            Violation::new(
                rules::REFERENCES_RETURNED,
                format!(
                    "the miniport is gone, and {} references to its resource list are left",
                    list.references().wrapping_sub(1 + others)
                ),
                "release what was AddRefed, in the miniport's destructor",
            ),
        )
    }
}
