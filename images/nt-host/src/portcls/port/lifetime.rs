//! The end of a port's life with its miniport: unregistered, removed, and what must be released by then.

#![allow(unsafe_code, reason = "groups are called by slot number")]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::bare_adapter::BareAdapter;
use super::miniport_kind::MiniportKind;
use super::{Bound, MINIPORT_GROUP, Port};
use crate::contract::violation::{Violation, violation};
use crate::contract::{ports, rules};
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
            let rule = bound.kind.map_or(ports::SERVICE_GROUP, MiniportKind::group_rule);
            object::release_group(group, rule);
        }
        Some(bound)
    }

    /// Unbinds the port from its miniport, in the order of a device's removal. `None` if it is not bound.
    fn part(&self) -> Option<Parted<'_>> {
        self.check_description();
        let bound = self.unbind()?;
        drop((bound.adapter, bound.pin_count));
        drop(bound.unknown);
        Some(Parted {
            port: self,
            miniport: Arc::into_inner(bound.miniport),
            bare_adapter: bound.bare_adapter,
            resources: bound.resources,
        })
    }

    /// Unbinds the port, whose only reference this is, and checks that nothing is left.
    #[cfg(test)]
    pub(crate) fn shut_down(&self) {
        shut_down(core::slice::from_ref(self), || ());
        expect_ports_released();
    }
}

/// A port that was unbound, and what it still holds.
struct Parted<'a> {
    port: &'a Com<Port>,
    miniport: Option<Foreign>,
    bare_adapter: Option<Com<BareAdapter>>,
    resources: Option<Com<ResourceList>>,
}

/// Unbinds all ports of a device from their miniports, then calls `give_up` to release what else is held of the adapter,
/// and checks that nothing is left. The ports' only references are the caller's.
///
/// Miniports, ports and the adapter's object may hold one another on a card with several subdevices: counts are looked
/// at when each has been given up.
pub(crate) fn shut_down(ports: &[Com<Port>], give_up: impl FnOnce()) {
    let mut parted: Vec<Parted<'_>> = ports.iter().filter_map(Com::part).collect();
    release_miniports(&mut parted);
    give_up();
    release_miniports(&mut parted);
    parted.into_iter().for_each(expect_nothing_left);
}

/// Releases every miniport that only its port holds, until there is none: the destructor of one may give up another.
fn release_miniports(parted: &mut [Parted<'_>]) {
    let is_free =
        |parted: &&mut Parted<'_>| parted.miniport.as_ref().is_some_and(|miniport| miniport.references() == 1);
    while let Some(free) = parted.iter_mut().find(is_free) {
        free.miniport = None;
    }
}

/// Checks that the driver holds nothing of a port that was unbound, nor of its miniport.
fn expect_nothing_left(parted: Parted<'_>) {
    let Parted { port, miniport, bare_adapter, resources } = parted;
    let kind = port.kind();
    let released = format!("{}::Release", kind.miniport_name());
    let mut clean = true;
    if let Some(left) = miniport.map(Foreign::release).filter(|left| *left != 0) {
        clean = false;
        violation(
            &released,
            Violation::new(
                rules::REFERENCES_RETURNED,
                format!("the port has given the miniport up, and {left} references are left"),
                "release the miniport at the end of StartDevice, in each stream's destructor, and wherever QueryInterface was called",
            ),
        );
    }
    if port.references() != 1 {
        clean = false;
        KEPT.with(|kept| kept.push(port.clone()));
    }
    if let Some(bare_adapter) = bare_adapter.filter(|bare_adapter| bare_adapter.references() != 1) {
        violation(
            &released,
            Violation::new(
                rules::UNKNOWN_ADAPTER,
                format!(
                    "the miniport is gone, and keeps {} references to UnknownAdapter",
                    bare_adapter.references() - 1
                ),
                "release in the destructor what Init AddRefed, or queried",
            ),
        );
    }
    clean &= check_list(resources);
    if clean {
        rules::REFERENCES_RETURNED.held();
    }
}

/// Ports that the driver holds though their miniports are gone: until it is unloaded it may, as of any object.
static KEPT: Lock<Vec<Com<Port>>> = Lock::new(Vec::new());

/// Checks, when nothing of the driver's is left, that it has released every port (rule 7).
pub(crate) fn expect_ports_released() {
    for port in KEPT.with(core::mem::take) {
        let references = port.references();
        if references == 1 {
            rules::REFERENCES_RETURNED.held();
            continue;
        }
        violation(
            port.kind().port_name(),
            Violation::new(
                rules::REFERENCES_RETURNED,
                format!("the miniport is gone, and {} references to its port are left", references - 1),
                "release the port at the end of StartDevice and in the miniport's destructor, at the latest in DriverUnload",
            ),
        );
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
fn check_list(list: Option<Com<ResourceList>>) -> bool {
    let Some(list) = list else { return true };
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
        );
        return false;
    }
    true
}
