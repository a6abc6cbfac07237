//! Rules of PortCls' other services: registry keys, events, subdevices that come and go, DMA channels, and what drivers
//! take of `ks.sys`.
//!
//! They are not duties of every DMus miniport, so that a driver that uses none of it keeps them all; one that uses a
//! service learns by number what is wrong, as with the [contract](super::rules). Numbers begin where those of the
//! contract and of the verifier's own checks cannot reach.

use super::rules::{CheckMethod, Rule};

/// Number of the first.
pub const FIRST: u16 = 201;

/// Declares the table, and a constant for each rule.
macro_rules! services {
    ($($name:ident = $number:literal, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source, check_method: CheckMethod::Always };)+

        /// Every rule of the services, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

services! {
    REGISTRY_KEY = 201,
        "an adapter driver passes NULL for the subdevice of a registry key, and uses no key that it has deleted",
        "D nf-portcls-pcnewregistrykey, nn-portcls-iregistrykey";
    EVENT_ENTRY = 202,
        "AddEventToEventList gets the entry of a request with verb ADD, once, from the handler of that request",
        "D nf-portcls-iportevents-addeventtoeventlist, ns-portcls-_pcevent_request";
    EVENT_ADDED = 203,
        "an event handler that accepts an event has put its entry on a list",
        "D nf-portcls-iportevents-addeventtoeventlist";
    EVENT_ITEMS = 204,
        "items of an automation table have a set, a handler and flags that their kind of item has",
        "D ns-portcls-pcevent_item, ns-portcls-pcmethod_item, ns-portcls-pcautomation_table";
    DISCARDED = 205,
        "an event entry or a worker of ks.sys is not used after it was discarded or unregistered",
        "D nf-ks-ksdiscardevent, nf-ks-ksfreeeventlist, nf-ks-ksunregisterworker";
    UNREGISTERED_SUBDEVICE = 206,
        "a subdevice is unregistered once, by its port and with its device",
        "D nf-portcls-iunregistersubdevice-unregistersubdevice";
    DMA_CHANNEL = 207,
        "the buffer of a DMA channel is used within the size that was allocated",
        "D nn-portcls-idmachannel";
    FINAL_STATUS = 208,
        "what the system calls and waits for returns its final status: STATUS_PENDING is for requests that are completed later",
        "D nf-portcls-pcaddadapterdevice, nf-dmusicks-iminiportdmus-init, nf-dmusicks-iminiportdmus-newstream, nf-dmusicks-imxf-setstate";
    REFERENCE_STRING = 209,
        "the reference string of a device interface, which a subdevice's name becomes, has no \\ and no /",
        "D nf-wdm-ioregisterdeviceinterface, nf-portcls-pcregistersubdevice";
    PIN_MEDIUMS = 210,
        "a pin that clients connect to has the standard medium, KSMEDIUM_STANDARD_DEVIO, which no list of mediums means",
        "D ns-portcls-pcpin_descriptor, ns-ks-kspin_descriptor";
    RANGE_ATTRIBUTES = 211,
        "a data range with KSDATARANGE_ATTRIBUTES is followed by a whole list of attributes; other flags are those of ks.h",
        "D ns-ks-ksattribute, ns-ks-ksattribute_list; M ks.h";
    PORTCLS_UNLOAD = 212,
        "a driver that puts its own DriverUnload in place of PortCls' calls PortCls', which undoes PcInitializeAdapterDriver",
        "D nf-portcls-pcinitializeadapterdriver; K writing-an-unload-routine";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_services_are_numbered_one_by_one_beyond_all_others() {
        assert!(TABLE.iter().zip(FIRST..).all(|(rule, number)| rule.number == number));
        assert!(usize::from(FIRST) > crate::contract::rules::RULES);
    }
}
