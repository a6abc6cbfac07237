//! Ports of every kind: which interfaces each has, and the methods that are not the same for all.

use core::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use super::*;
use crate::portcls::com::guids::GUID;
use crate::portcls::com::object::{Class, Object, Slot, object, unknown};
use crate::portcls::com::slots::Foreign;

const KINDS: [Kind; 5] = [Kind::DMus, Kind::Topology, Kind::WaveCyclic, Kind::WavePci, Kind::WaveRt];

/// Returns the kinds of ports that answer an interface.
fn answered_by(interface: GUID) -> Vec<Kind> {
    let answers = |kind: &Kind| {
        let port = Port::create(*kind);
        // SAFETY: the port lives.
        unsafe { Foreign::from_borrowed(port.as_raw()) }.query(&interface).is_ok()
    };
    KINDS.into_iter().filter(answers).collect()
}

#[test]
fn every_port_answers_what_its_pages_say_and_nothing_else() {
    const WAVES: [Kind; 3] = [Kind::WaveCyclic, Kind::WavePci, Kind::WaveRt];
    for interface in [
        guids::IID_IUNKNOWN,
        guids::COM_IID_IUNKNOWN,
        guids::IID_IPORT,
        guids::IID_IPORTEVENTS,
        guids::IID_IPORTCLSVERSION,
        guids::IID_IPORTCLSPOWER,
        guids::IID_IUNREGISTERSUBDEVICE,
        guids::IID_IUNREGISTERPHYSICALCONNECTION,
    ] {
        assert_eq!(answered_by(interface), KINDS, "{}", guids::Printed(&interface));
    }
    for kind in KINDS {
        assert_eq!(answered_by(kind.port()), [kind]);
        assert_eq!(answered_by(kind.miniport()), []);
    }
    assert_eq!(answered_by(guids::IID_IDRMPORT), WAVES);
    assert_eq!(answered_by(guids::IID_IDRMPORT2), WAVES);
    assert_eq!(answered_by(guids::IID_IPORTCLSPNP), [Kind::WaveRt]);
    assert_eq!(answered_by(guids::IID_IPORTCLSSTREAMRESOURCEMANAGER), [Kind::WaveRt]);
    assert_eq!(answered_by(guids::IID_IPORTCLSSTREAMRESOURCEMANAGER2), [Kind::WaveRt]);
}

/// A service group that counts the requests for service.
struct Counter(AtomicU32);

impl Class for Counter {
    const NAME: &'static str = "IServiceGroup (test)";
    const INTERFACES: &'static [GUID] = &[guids::IID_ISERVICEGROUP];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Counter>();
        static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(count as *const ())];
        &VTABLE
    }
}

unsafe extern "win64" fn count(this: *mut Object<Counter>) {
    // SAFETY: the test holds a reference.
    unsafe { &object(this).0 }.fetch_add(1, Ordering::Relaxed);
}

/// Calls slot 6, `Notify`.
fn notify(port: &Com<Port>, group: PVOID) {
    // SAFETY: IPortDMus, IPortWaveCyclic and IPortWavePci have Notify there.
    unsafe {
        let notify: unsafe extern "win64" fn(PVOID, PVOID) =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(6).read());
        notify(port.as_raw(), group);
    }
}

#[test]
fn notify_requests_service_of_the_group_that_it_names() {
    for kind in [Kind::DMus, Kind::WaveCyclic, Kind::WavePci] {
        let (port, group) = (Port::create(kind), Com::new(Counter(AtomicU32::new(0))));
        notify(&port, group.as_raw());
        assert_eq!(group.0.load(Ordering::Relaxed), 1, "{kind:?}");
    }
}

#[test]
fn a_miniport_of_another_kind_is_refused() {
    let port = Port::create(Kind::Topology);
    let miniport = Com::new(Miniport {
        port: AtomicPtr::default(),
        behaviour: Behaviour::default(),
        recorded: leak(Recorded::default()),
    });
    // SAFETY: slot 3 is Init, of every port.
    let status = unsafe {
        let init: unsafe extern "win64" fn(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID) -> NTSTATUS =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(3).read());
        let some = core::ptr::dangling_mut();
        init(port.as_raw(), some, some, miniport.as_raw(), core::ptr::null_mut(), core::ptr::null_mut())
    };
    assert_eq!((status, port.is_bound()), (STATUS_INVALID_PARAMETER, false));
}
