//! The contract between PortCls and the rest of a sound card, as numbered rules that this host checks: Topology,
//! WaveCyclic, WavePci and WaveRT ports with their miniports, the connections between filters, and what adapters of
//! such cards register.
//!
//! They are no duties of a driver whose only filter is for music. Numbers begin where those of the other tables cannot
//! reach. Sources are named as in the [contract](super::rules).

use core::sync::atomic::{AtomicBool, Ordering};

use super::rules::CheckMethod::Always;
use super::rules::Rule;

/// Number of the first.
pub const FIRST: u16 = 321;

/// Declares the table, and a constant for each rule.
macro_rules! ports {
    ($($name:ident = $number:literal, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source, check_method: Always };)+

        /// Every rule of other ports than music's, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

ports! {
    MINIPORT_INTERFACES = 321,
        "QueryInterface on a Topology or wave miniport answers IUnknown, IMiniport and the interface of its port, with one identity",
        "D nf-portcls-iport-init, nn-portcls-iminiporttopology, nn-portcls-iminiportwavecyclic, nn-portcls-iminiportwavert; COM";
    TOPOLOGY_PINS = 322,
        "every pin of a Topology filter is a bridge pin, with instance counts of 0",
        "A topology-filters, audio-filter-graphs; D ns-portcls-pcpin_descriptor";
    CATEGORIES = 323,
        "a wave filter that lists categories is in KSCATEGORY_AUDIO, a Topology filter in KSCATEGORY_TOPOLOGY, and none in KSCATEGORY_AUDIO_DEVICE",
        "A installing-device-interfaces-for-an-audio-adapter";
    CONNECTION_ONCE = 324,
        "a physical connection is registered once",
        "S";
    CONNECTION_LEFT = 325,
        "the physical connections of a subdevice that is unregistered are unregistered too",
        "D nn-portcls-iunregisterphysicalconnection; A dynamic-audio-subdevices";
    SERVICE_GROUP = 326,
        "the service group that IMiniportWavePci::Init puts out comes with a reference for the port",
        "D nf-portcls-iminiportwavepci-init; A reference-counting-conventions-for-com-objects";
    DEVICE_DESCRIPTION = 327,
        "IMiniportWaveRT::GetDeviceDescription writes a DEVICE_DESCRIPTION and nothing behind it",
        "D nf-portcls-iminiportwavert-getdevicedescription, ns-wdm-_device_description";
    STREAM_RESOURCES = 328,
        "a stream resource is removed once, before its device is stopped or removed",
        "D nf-portcls-pcremovestreamresource";
    PNP_REGISTRATION = 329,
        "PcRegisterAdapterPnpManagement gets an object with IAdapterPnpManagement, and the FDO; it is taken back only when it was made",
        "D nf-portcls-pcregisteradapterpnpmanagement, nf-portcls-pcunregisteradapterpnpmanagement";
    NOTIFIED_GROUP = 330,
        "Notify of a wave port names a service group",
        "D nf-portcls-iportwavecyclic-notify, nf-portcls-iportwavepci-notify";
    DMA_CHANNEL_POOL = 331,
        "NewMasterDmaChannel of a WavePci port gets a nonpaged pool, and ScatterGather TRUE",
        "D nf-portcls-iportwavepci-newmasterdmachannel";
}

/// A Topology or wave miniport has been bound since boot.
static BOUND: AtomicBool = AtomicBool::new(false);

/// Notes that a Topology or wave miniport has been bound to its port.
pub fn note_bound() {
    BOUND.store(true, Ordering::Relaxed);
}

/// Returns whether a report names the rules of this table: a Topology or wave miniport was bound.
#[must_use]
pub fn applies() -> bool {
    BOUND.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::rules;

    #[test]
    fn rules_of_other_ports_are_numbered_one_by_one_beyond_all_others() {
        assert!(TABLE.iter().zip(FIRST..).all(|(rule, number)| rule.number == number));
        assert!(TABLE.iter().all(|rule| usize::from(rule.number) < rules::NUMBERS && !rule.source.is_empty()));
    }
}
