//! The contract between a DMus miniport and PortCls, as numbered rules that this host checks.
//!
//! A rule is a number, a title, and the public document that it comes from: `D` is a reference page of the driver
//! interface, `A` a page of the audio driver guide, `S` what the public samples do where no page says it, `COM` the
//! component object model. Numbers are stable: a bug check, a scenario and the documentation name a rule by number.
//!
//! Pure logic reports a [`Broken`] rule as an error; whoever calls it turns that into a bug check.

use alloc::string::String;

/// One rule of the contract.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub number: u16,
    /// What it demands, in a few words.
    pub title: &'static str,
    /// Where it is written.
    pub source: &'static str,
}

/// Declares the table, and a constant for each rule.
macro_rules! rules {
    ($($name:ident = $number:literal, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source };)+

        /// Every rule that this host checks, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

rules! {
    MINIPORT_INTERFACES = 2, "QueryInterface on the miniport answers IUnknown, IMiniport and IMiniportDMus, with one identity",
        "D nn-dmusicks-iminiportdmus; COM";
    UNKNOWN_INTERFACE = 3, "QueryInterface for an unknown interface fails, stores NULL, and keeps the count", "S; COM";
    STREAM_INTERFACES = 5, "a stream answers IUnknown and IMXF; ISynthSinkDMus only if it is a wave stream",
        "D nn-dmusicks-isynthsinkdmus";
    REFERENCE_COUNTS = 6, "an object is used while a reference is held, and destroyed exactly once",
        "A reference-counting-conventions-for-com-objects";
    REFERENCES_RETURNED = 7, "after the last Release of stream and miniport every count is back where it started",
        "A reference-counting-conventions-for-com-objects";
    DRIVER_ENTRY = 9, "DriverEntry calls PcInitializeAdapterDriver once, with its own parameters, and returns its status",
        "A startup-sequence; D nf-portcls-pcinitializeadapterdriver";
    ADD_DEVICE = 10, "AddDevice calls PcAddAdapterDevice once; the extension is 0 or at least 64 pointers, PortCls' part untouched",
        "D nf-portcls-pcaddadapterdevice";
    START_DEVICE = 11, "StartDevice neither completes nor forwards the IRP", "A startup-sequence";
    SUBDEVICE_ORDER = 13, "PcNewPort, IPort::Init, PcRegisterSubdevice, then Release of miniport and port", "A subdevice-creation";
    SUBDEVICE_NAME = 14, "a subdevice's name is unique, and stays readable for the life of the device",
        "D nf-portcls-pcregistersubdevice";
    POWER_REGISTRATION = 15, "PcRegisterAdapterPowerManagement gets an object with IAdapterPowerManagement, and the FDO",
        "D nf-portcls-pcregisteradapterpowermanagement";
    PHYSICAL_CONNECTION = 16, "PcRegisterPhysicalConnection joins bridge pins of registered subdevices, OUT to IN",
        "D nf-portcls-pcregisterphysicalconnection";
    INTERRUPT_ORDER = 19, "RegisterServiceRoutine and RegisterServiceGroup come before IInterruptSync::Connect",
        "D nf-dmusicks-iportdmus-registerservicegroup; A interrupt-sync-objects";
    SERVICE_GROUP = 20, "the service group that Init puts out is the registered one, with a reference for the port",
        "D nf-dmusicks-iminiportdmus-init";
    DESCRIPTION_CONSTANT = 24, "GetDescription always gives the same descriptor, whose content never changes",
        "D nf-portcls-iminiport-getdescription";
    DESCRIPTOR_SIZES = 25, "descriptor version 0; strides at least the structure and multiples of 8; a count of 0 if and only if no array",
        "D ns-portcls-pcfilter_descriptor, ns-portcls-pcautomation_table";
    PIN_DESCRIPTORS = 26, "each pin has a legal flow, communication, data ranges and instance counts",
        "D ns-portcls-pcpin_descriptor; A directmusic-stream-data-range, midi-stream-data-range";
    MUSIC_PIN = 27, "a music sink pin is there; a MIDI pin comes before the DirectMusic pin",
        "A exposing-your-synthesizer-as-a-legacy-device";
    CONNECTIONS = 28, "connections refer to what exists, in the right direction; the DirectMusic pin leads to a synthesizer node",
        "A nodes-and-connections, midi-and-directmusic-filters";
    SYNTHESIZER_NODE = 29, "the synthesizer node has CAPS and PORTPARAMETERS with GET", "A ksnodetype-synthesizer";
    CATEGORIES = 30, "categories contain AUDIO, AUDIO before RENDER, never AUDIO_DEVICE", "A installing-a-port-class-audio-adapter; S";
    INTERSECTION = 31, "DataRangeIntersection follows the size protocol", "D nf-portcls-iminiport-datarangeintersection";
    NEW_STREAM = 32, "NewStream gives a stream, writes SchedulePreFetch, and a service group or NULL",
        "D nf-dmusicks-iminiportdmus-newstream";
    NEW_STREAM_FAILURE = 33, "a failed NewStream leaves stream and service group NULL and all counts as they were", "S";
    NEW_STREAM_QUIET = 36, "NewStream sends nothing", "S";
    IRQL = 39, "each function is called and left at the IRQL that its page demands", "D nf-dmusicks-imxf-putmessage; each function's page";
    CONSERVATION = 40, "an event goes back to its allocator exactly once and is not touched afterwards",
        "D nf-dmusicks-imxf-putmessage, nn-dmusicks-iallocatormxf; A allocator";
    EVENT_FIELDS = 41, "bReserved and cbStruct are the allocator's; a long event goes back with its own cbEvent and pbData",
        "D ns-dmusicks-_dmus_kernel_event, nf-dmusicks-iallocatormxf-putbuffer";
    NULL_MESSAGE = 47, "PutMessage(NULL) succeeds without effect", "D nf-dmusicks-iportdmus-notify";
    STREAM_STATES = 48, "a stream accepts the state ladder; in STOP it gives back all that it holds", "D nf-dmusicks-imxf-setstate";
    DESTROYED_STREAM = 52, "allocator and clock are not used after the stream is destroyed", "COM";
    INTERRUPT_CALLS = 56, "an interrupt service routine makes no IMXF or IAllocatorMXF call", "D nf-dmusicks-iportdmus-notify";
    INTERRUPT_NOT_OURS = 60, "a service routine fails when the device's status register shows nothing, and leaves it clean otherwise",
        "A interrupt-sync-objects";
    INTERRUPT_CLAIM = 61, "a service routine in Repeat mode does not claim for ever", "A interrupt-sync-objects";
    DISCONNECT = 63, "an interrupt sync object is disconnected before its last Release", "S";
    PROPERTY_SIZES = 66, "property sizes: 0 asks, too little is refused, success says how much was written",
        "A audio-property-handlers";
    PROPERTY_PENDING = 74, "a pending property request is completed exactly once, never with STATUS_PENDING",
        "D nf-portcls-pccompletependingpropertyrequest";
    NOTHING_LEFT = 82, "when the driver unloads, every object that it made is gone", "S";
    RENDER = 83, "Render writes exactly the frames asked for; sample and time convert both ways, within one sample",
        "D nf-dmusicks-isynthsinkdmus-render; A synthesizer-timing";
}

/// The contract was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {} ({}): {what}; {remedy}", rule.number, rule.title)]
pub struct Broken {
    /// Which rule.
    pub rule: &'static Rule,
    /// What was found, and what was expected.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Broken {
    /// A broken rule.
    pub(crate) fn new(rule: &'static Rule, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { rule, what: what.into(), remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_listed_in_ascending_order_each_once() {
        assert!(TABLE.is_sorted_by(|a, b| a.number < b.number));
    }

    #[test]
    fn every_rule_says_where_it_is_written() {
        assert!(TABLE.iter().all(|rule| !rule.title.is_empty() && !rule.source.is_empty()));
    }
}
