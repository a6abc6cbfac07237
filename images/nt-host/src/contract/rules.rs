//! The contract between a DMus miniport and PortCls, as numbered rules that this host checks.
//!
//! A rule is a number, a title, the public document that it comes from, and how this host checks it. `D` is a reference
//! page of the driver interface, `A` a page of the audio driver guide, `K` a page of the kernel driver guide, `M` a public
//! header, `S` what the public samples do where no page says it, `COM` the component object model. Numbers are stable: a
//! bug check, a scenario and the documentation name a rule by number. `CONTRACT.md` beside the sources is this table.
//!
//! A driver is judged by pages and headers only. Of the rules in [`NOTED`] a deviation is a note: no page
//! forbids it, or no port gets there.
//!
//! Pure logic reports a [`Violation`](super::violation::Violation) as an error; its caller turns that into a bug check.
//! Each time that a rule was really put to the test, and held, it is [counted](Rule::held): a rule that was never put
//! to the test has not been kept, and a report that says so is worth more than one that is green.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::bugcheck::blame;

/// How this host checks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckMethod {
    /// Whenever a driver does what the rule is about, whatever else it is doing.
    Always,
    /// By this probe of `cargo dmus run contract`, which makes calls that a song does not.
    Probe(&'static str),
    /// Not at all, for this reason.
    NotApplicable(&'static str),
}

use CheckMethod::{Always, NotApplicable, Probe};

/// One rule of the contract.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub number: u16,
    /// What it demands, in a few words.
    pub title: &'static str,
    /// Where it is written.
    pub source: &'static str,
    /// How it is checked.
    pub check_method: CheckMethod,
}

/// The rules of which a deviation is noted and no violation.
pub const NOTED: [u16; 6] = [23, 36, 37, 53, 63, 324];

/// How many rules there are; they are numbered from 1.
pub const RULES: usize = 83;

/// One more than the highest number that a rule of any table can have.
pub const NUMBERS: usize = 400;

/// By number, how often a rule was put to the test and held.
static HELD: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];

impl Rule {
    /// Counts that the rule was put to the test and held.
    pub fn held(&self) {
        HELD[usize::from(self.number)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often it was put to the test and held since boot.
    #[must_use]
    pub fn count(&self) -> u32 {
        HELD[usize::from(self.number)].load(Ordering::Relaxed)
    }
}

/// Runs `body`, in which the driver meets something that it must survive: a fault meanwhile breaks `rule`. Counts the
/// rule as held if `body` returns.
pub fn must_survive<R>(rule: &'static Rule, body: impl FnOnce() -> R) -> R {
    let before = blame::set_rule(rule.number);
    let result = body();
    blame::set_rule(before);
    rule.held();
    result
}

/// Makes a fault break `rule`, or none, until the next call.
pub fn blame(rule: Option<&'static Rule>) {
    blame::set_rule(rule.map_or(0, |rule| rule.number));
}

/// Declares the table, and a constant for each rule.
macro_rules! rules {
    ($($name:ident = $number:literal, $method:expr, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source, check_method: $method };)+

        /// Every rule of the contract, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

rules! {
    INTERFACE_SLOTS = 1, Always,
        "every slot of an interface's vtable is a function of the driver's",
        "M portcls.h, dmusicks.h; ABI";
    MINIPORT_INTERFACES = 2, Always,
        "QueryInterface on the miniport answers IUnknown, IMiniport and IMiniportDMus, with one identity",
        "D nn-dmusicks-iminiportdmus; COM";
    UNKNOWN_INTERFACE = 3, Always,
        "QueryInterface for an unknown interface fails, stores NULL, and keeps the count",
        "COM nf-unknwn-iunknown-queryinterface";
    OPTIONAL_INTERFACES = 4, Always,
        "IPowerNotify, IPinCount and IMusicTechnology are answered whole, or refused cleanly",
        "D nn-portcls-ipowernotify, nn-portcls-ipincount, nn-portcls-imusictechnology";
    STREAM_INTERFACES = 5, Always,
        "a stream answers IUnknown and IMXF, a wave stream ISynthSinkDMus too",
        "D nn-dmusicks-imxf, nn-dmusicks-isynthsinkdmus";
    REFERENCE_COUNTS = 6, Always,
        "an object is used while a reference is held, and destroyed exactly once",
        "A reference-counting-conventions-for-com-objects";
    REFERENCES_RETURNED = 7, Always,
        "after the last Release of stream and miniport every count is back where it started",
        "A reference-counting-conventions-for-com-objects";
    PARALLEL_REFERENCES = 8, NotApplicable("two processors, or an interruption between two instructions, would have to meet in AddRef, and this host can force neither; it does count every reference, so a count that went wrong shows under rules 6 and 7"),
        "AddRef and Release are interlocked: counts survive an interruption between any two instructions",
        "COM nf-unknwn-iunknown-addref";
    DRIVER_ENTRY = 9, Always,
        "DriverEntry calls PcInitializeAdapterDriver once, with its own parameters, and returns its status",
        "A startup-sequence; D nf-portcls-pcinitializeadapterdriver";
    ADD_DEVICE = 10, Always,
        "AddDevice calls PcAddAdapterDevice once; the extension is 0 or at least 64 pointers, PortCls' part untouched",
        "D nf-portcls-pcaddadapterdevice";
    START_DEVICE = 11, Always,
        "StartDevice neither completes nor forwards the IRP",
        "A startup-sequence";
    RESOURCE_LISTS = 12, Probe("start"),
        "StartDevice with resources that are missing, too short, in another order or not its own fails cleanly, or starts a device that works",
        "D nn-portcls-iresourcelist; K irp-mn-start-device";
    SUBDEVICE_ORDER = 13, Always,
        "PcNewPort, IPort::Init, PcRegisterSubdevice, then Release of miniport and port",
        "A subdevice-creation";
    SUBDEVICE_NAME = 14, Always,
        "a subdevice's name is unique, and stays readable for the life of the device",
        "D nf-portcls-pcregistersubdevice";
    POWER_REGISTRATION = 15, Always,
        "PcRegisterAdapterPowerManagement gets an object with IAdapterPowerManagement, and the FDO",
        "D nf-portcls-pcregisteradapterpowermanagement";
    PHYSICAL_CONNECTION = 16, Always,
        "PcRegisterPhysicalConnection joins bridge pins of registered subdevices, OUT to IN",
        "D nf-portcls-pcregisterphysicalconnection";
    RESTART = 17, Probe("start"),
        "a device starts again after a stop, and after a start that failed, with nothing left of the time before",
        "K irp-mn-stop-device, irp-mn-start-device";
    UNKNOWN_ADAPTER = 18, Probe("start"),
        "Init takes an adapter object that is NULL, and one that has no IInterruptSync",
        "D nf-dmusicks-iminiportdmus-init";
    INTERRUPT_ORDER = 19, Always,
        "RegisterServiceRoutine and RegisterServiceGroup come before IInterruptSync::Connect",
        "D nf-dmusicks-iportdmus-registerservicegroup; A interrupt-sync-objects";
    SERVICE_GROUP = 20, Always,
        "the service group that Init puts out is the registered one, with a reference for the port",
        "D nf-dmusicks-iminiportdmus-init";
    EARLY_INTERRUPT = 21, Always,
        "an interrupt inside Connect, and one before Init returns, find everything ready",
        "D nf-dmusicks-iportdmus-registerservicegroup";
    INIT_FAILURES = 22, Probe("start"),
        "whichever service of PortCls fails during the start, the driver survives it and leaves nothing behind",
        "D nf-portcls-pcnewport, nf-portcls-pcnewinterruptsync; K irp-mn-start-device";
    QUIET_AFTER_INIT = 23, Probe("start"),
        "without an open stream the device raises no stream of interrupts",
        "S";
    DESCRIPTION_CONSTANT = 24, Always,
        "GetDescription always gives the same descriptor, whose content never changes",
        "D nf-portcls-iminiport-getdescription";
    DESCRIPTOR_SIZES = 25, Always,
        "descriptor version 0; strides at least the structure and multiples of 8; a count of 0 if and only if no array",
        "D ns-portcls-pcfilter_descriptor, ns-portcls-pcautomation_table";
    PIN_DESCRIPTORS = 26, Always,
        "each pin has a legal flow, communication, data ranges and instance counts",
        "D ns-portcls-pcpin_descriptor; A directmusic-stream-data-range, midi-stream-data-range";
    MUSIC_PIN = 27, Always,
        "a filter has a music pin that clients connect to; a MIDI pin comes before the DirectMusic pin",
        "A exposing-your-synthesizer-as-a-legacy-device";
    CONNECTIONS = 28, Always,
        "connections refer to what exists, in the right direction; the DirectMusic pin leads to a synthesizer node",
        "A nodes-and-connections, midi-and-directmusic-filters";
    SYNTHESIZER_NODE = 29, Always,
        "the synthesizer node has CAPS and PORTPARAMETERS with GET",
        "A ksnodetype-synthesizer";
    CATEGORIES = 30, Always,
        "categories contain AUDIO, if there are any, AUDIO before RENDER, and never AUDIO_DEVICE",
        "A installing-a-port-class-audio-adapter; D ns-portcls-pcfilter_descriptor";
    INTERSECTION = 31, Always,
        "DataRangeIntersection follows the size protocol",
        "D nf-portcls-iminiport-datarangeintersection";
    NEW_STREAM = 32, Always,
        "NewStream gives a stream, writes SchedulePreFetch, and a service group or NULL",
        "D nf-dmusicks-iminiportdmus-newstream";
    NEW_STREAM_FAILURE = 33, Always,
        "a failed NewStream leaves stream and service group NULL and all counts as they were",
        "COM memory-management-rules; A reference-counting-conventions-for-com-objects";
    INSTANCE_LIMITS = 34, Probe("streams"),
        "a pin opens as often as it declares and no more, and opening and closing leaks nothing",
        "D ns-portcls-pcpin_descriptor";
    STREAMS_APART = 35, Probe("streams"),
        "streams that are open together give each event back to their own allocator",
        "D nn-dmusicks-iallocatormxf; A allocator";
    NEW_STREAM_QUIET = 36, Always,
        "NewStream sends nothing",
        "S";
    OUTER_UNKNOWN = 37, Probe("streams"),
        "NewStream with an outer object aggregates, or fails",
        "D nf-dmusicks-iminiportdmus-newstream";
    STREAM_WITHOUT_POWER = 38, Probe("power"),
        "NewStream without power may fail and touches no register",
        "A implementing-ipowernotify";
    IRQL = 39, Always,
        "each function is called and left at the IRQL that its page demands",
        "D nf-dmusicks-imxf-putmessage; each function's page";
    CONSERVATION = 40, Always,
        "an event goes back to its allocator exactly once and is not touched afterwards",
        "D nf-dmusicks-imxf-putmessage, nn-dmusicks-iallocatormxf; A allocator";
    EVENT_FIELDS = 41, Always,
        "bReserved and cbStruct are the allocator's; a long event goes back with its own cbEvent and pbData",
        "D ns-dmusicks-_dmus_kernel_event, nf-dmusicks-iallocatormxf-putbuffer";
    INLINE_BOUNDARY = 42, Probe("streams"),
        "the driver takes eight bytes from the event and nine from a buffer",
        "D ns-dmusicks-_dmus_kernel_event";
    ODD_EVENTS = 43, Probe("streams"),
        "an event without data comes back like any other, and does no harm",
        "D ns-dmusicks-_dmus_kernel_event, nn-dmusicks-iallocatormxf";
    CHAINS_AND_PACKAGES = 44, Always,
        "chains are taken in order, packages whole; each event comes back once",
        "D ns-dmusicks-_dmus_kernel_event";
    FRAGMENTS = 45, Probe("playing"),
        "a message in fragments, in events and in buffers, is the same message",
        "D ns-dmusicks-_dmus_kernel_event";
    CHANNEL_GROUPS = 46, Probe("streams"),
        "the driver routes usChannelGroup, and survives a group that is not there",
        "D ns-dmusicks-_dmus_kernel_event";
    NULL_MESSAGE = 47, Always,
        "PutMessage(NULL) succeeds without effect",
        "D nf-dmusicks-iportdmus-notify";
    STREAM_STATES = 48, Always,
        "a stream accepts the state ladder; in STOP it gives back all that it holds",
        "D nf-dmusicks-imxf-setstate";
    CONCURRENT_STATES = 49, Probe("streams"),
        "PutMessage, SetState and the interrupt at the same time lose and double no event",
        "D nf-dmusicks-imxf-putmessage, nf-dmusicks-imxf-setstate";
    BACK_PRESSURE = 50, Probe("back-pressure"),
        "a device that takes nothing for a while costs no time at DISPATCH_LEVEL and no event",
        "K guidelines-for-writing-dpc-routines";
    PRESENTATION_TIMES = 51, Probe("playing"),
        "with DONT_HOLD_FOR_SEQUENCING events handed over out of order play in order of time",
        "A latency-clocks";
    DESTROYED_STREAM = 52, Always,
        "allocator and clock are not used after the stream is destroyed",
        "COM";
    UNSTOPPED_STREAM = 53, Probe("streams"),
        "a stream that is released without STOP gives back what it holds",
        "S";
    CAPTURE_OUTPUT = 54, Probe("capture"),
        "captured events go to the connected sink, and nowhere before it is connected or after",
        "D nf-dmusicks-imxf-connectoutput, nf-dmusicks-imxf-disconnectoutput";
    CAPTURE_STATES = 55, Probe("capture"),
        "captured data flows in PAUSE and RUN, and is discarded in STOP and ACQUIRE",
        "D nf-dmusicks-imxf-setstate";
    INTERRUPT_CALLS = 56, Always,
        "an interrupt service routine makes no IMXF or IAllocatorMXF call",
        "D nf-dmusicks-iportdmus-notify";
    CAPTURED_EVENTS = 57, Probe("capture"),
        "captured events have flags, lengths and buffers in order, and times that ascend and have been",
        "A allocator; D ns-dmusicks-_dmus_kernel_event";
    CAPTURE_EMPTY_POOL = 58, Probe("capture"),
        "an allocator without events or buffers delays captured data or loses it, and nothing else",
        "D nf-dmusicks-iallocatormxf-getmessage, nf-dmusicks-iallocatormxf-getbuffer";
    CAPTURE_BURST = 59, Probe("capture"),
        "more captured data than fits is lost in part and bounded; the rest is whole and in order",
        "D ns-dmusicks-_dmus_kernel_event";
    INTERRUPT_NOT_OURS = 60, Always,
        "a service routine fails when the device's status register shows nothing, and leaves it clean otherwise",
        "A interrupt-sync-objects";
    INTERRUPT_CLAIM = 61, Always,
        "a service routine in Repeat mode does not claim for ever",
        "A interrupt-sync-objects";
    INTERRUPT_STORM = 62, Probe("streams"),
        "a hundred thousand interrupts between two DPCs fill nothing up",
        "K introduction-to-interrupt-service-routines; A interrupt-sync-objects";
    DISCONNECT = 63, Always,
        "an interrupt sync object is disconnected before its last Release",
        "S";
    SHARED_WITH_INTERRUPT = 64, NotApplicable("which memory the service routine shares with the rest is the driver's own affair, and a host sees calls and not accesses; an unguarded ring shows as an event that is lost, doubled or torn, which rules 40, 49, 57 and 62 look for"),
        "what the service routine shares is reached through CallSynchronizedRoutine or without locks",
        "D nf-portcls-iinterruptsync-callsynchronizedroutine";
    PROPERTY_VERBS = 65, Probe("properties"),
        "a property handler answers the verbs that its item lists",
        "D ns-portcls-pcproperty_item";
    PROPERTY_SIZES = 66, Always,
        "property sizes: 0 asks, too little is refused, success says how much was written",
        "A audio-property-handlers";
    BASIC_SUPPORT = 67, Probe("properties"),
        "BASICSUPPORT keeps to its sizes, 4 bytes of access flags, 40 of description, and says how much it returned",
        "A basic-support-queries-for-audio-properties";
    PROPERTY_INSTANCE = 68, Probe("properties"),
        "a property that needs instance data fails without it, and reads no further than there is",
        "D ns-portcls-_pcproperty_request";
    PROPERTY_TARGETS = 69, Probe("properties"),
        "SYNTH_CAPS is answered on the filter too, and no property harms a filter without an open pin",
        "A audio-property-handlers, kspropsetid-synth";
    SYNTH_CAPS = 70, Probe("properties"),
        "SYNTHCAPS is whole and consistent",
        "D ns-dmusprop-_synthcaps";
    PORT_PARAMETERS = 71, Probe("properties"),
        "PORTPARAMETERS echoes what fits, clamps the rest and says so, and fills in the defaults",
        "A kspropsetid-synth";
    LATENCY_CLOCK = 72, Probe("properties"),
        "LATENCYCLOCK is not before the master clock",
        "A latency-clocks";
    SYNTH_VALUES = 73, Probe("properties"),
        "channel groups, voice priorities, volumes and statistics are kept, bounded and reset as documented",
        "A kspropsetid-synth";
    PROPERTY_PENDING = 74, Probe("downloads"),
        "a pending property request is completed exactly once, never with STATUS_PENDING",
        "D nf-portcls-pccompletependingpropertyrequest";
    NARROW_CALLERS = 75, Probe("downloads"),
        "a 32-bit caller's structures are understood",
        "K supporting-32-bit-i-o-in-your-64-bit-driver";
    UNLOAD_AT_CLOSE = 76, Probe("downloads"),
        "a pin that closes completes the UNLOAD that waits on it",
        "D nf-portcls-pccompletependingpropertyrequest; K dispatchcleanup-routines";
    POWER_CYCLE = 77, Probe("power"),
        "through D3 and back with streams open no register is touched without power, and the device plays as before",
        "D nf-portcls-ipowernotify-powerchangenotify; A implementing-ipowernotify";
    POWER_REPEATED = 78, Probe("power"),
        "a device goes through all power states, D1 and D2 included",
        "D ne-wdm-_device_power_state; A implementing-iadapterpowermanagement";
    CAPABILITIES = 79, Probe("power"),
        "QueryDeviceCapabilities deepens the mapping of power states and changes nothing else",
        "D nf-portcls-iadapterpowermanagement-querydevicecapabilities";
    SURPRISE_REMOVAL = 80, Probe("removal"),
        "a device that is gone reads all ones: streams close, everything is released, nothing hangs",
        "K irp-mn-surprise-removal";
    SERVICE = 81, Always,
        "IMiniportDMus::Service may be called at any time and does nothing",
        "D nf-dmusicks-iminiportdmus-service";
    NOTHING_LEFT = 82, Always,
        "when the driver unloads, every object that it made is gone",
        "K writing-an-unload-routine";
    RENDER = 83, Always,
        "Render writes over what it is asked for, or mixes into it, all of it and nothing beyond; sample and time convert both ways, within one sample",
        "D nf-dmusicks-isynthsinkdmus-render; A midi-to-wave, synthesizer-timing";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;
    use std::path::Path;
    use std::vec::Vec;

    use super::*;
    use crate::contract::checks::Check;

    #[test]
    fn all_rules_are_listed_in_order_without_a_gap() {
        assert_eq!(TABLE.len(), RULES);
        assert!(TABLE.iter().zip(1..).all(|(rule, number)| rule.number == number));
    }

    #[test]
    fn every_rule_names_its_source() {
        assert!(TABLE.iter().all(|rule| !rule.title.is_empty() && !rule.source.is_empty()));
    }

    #[test]
    fn a_fault_breaks_the_innermost_rule_and_none_afterwards() {
        assert_eq!(blame::rule(), None);
        must_survive(ODD_EVENTS, || {
            assert_eq!(must_survive(SERVICE, blame::rule), Some(81));
            assert_eq!(blame::rule(), Some(43));
        });
        assert_eq!(blame::rule(), None);
        assert!(SERVICE.count() >= 1 && ODD_EVENTS.count() >= 1);
    }

    /// The variants of the C++ drivers, by the number of the rule or check: that names a broken one, or that must not stop a
    /// good one.
    #[derive(Default)]
    struct Variants {
        broken: BTreeMap<u16, Vec<String>>,
        good: BTreeMap<u16, Vec<String>>,
    }

    impl Variants {
        fn read(folder: &Path) -> Self {
            let tables = std::fs::read_dir(folder.join("../../guest-driver/fixture/variants")).unwrap();
            let mut tables: Vec<_> = tables.map(|entry| entry.unwrap().path()).collect();
            tables.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            tables.sort();
            let text: String = tables.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
            let mut found = Self::default();
            for table in text.split("[[variant]]").skip(1) {
                let value = |key: &str| table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
                let number = |key: &str| value(key).and_then(|number| number.parse::<u16>().ok());
                let name = value("name").expect("every variant has a name").trim_matches('"').to_owned();
                match value("status") {
                    Some("\"fires\"") => found.broken.entry(number("check").unwrap_or(0)).or_default().push(name),
                    Some("\"passes\"") => found.good.entry(number("guards").unwrap_or(0)).or_default().push(name),
                    _ => {}
                }
            }
            found
        }

        /// Returns the last two cells of a row.
        fn cells(&self, number: u16) -> String {
            let cell = |of: &BTreeMap<u16, Vec<String>>| {
                of.get(&number).map_or_else(String::new, |names| std::format!("`{}`", names.join("`, `")))
            };
            std::format!("{} | {} |", cell(&self.broken), cell(&self.good))
        }
    }

    /// The heads of those cells.
    const CELLS: &str = "broken variants that it names | good variants that it must not |\n";

    fn document(folder: &Path) -> String {
        let variants = Variants::read(folder);
        let mut text = String::from(
            "# The contract between a DMus miniport and PortCls\n\n\
             What the NT host checks, by number. A bug check names the rule that a driver broke. `cargo dmus run contract` puts a\n\
             driver to the test of all of them, rule by rule, and counts how often each was really tried; `cargo dmus run broken`\n\
             runs the broken variants of the C++ driver, each of which must be named by its check, and `cargo dmus run passing`\n\
             those that keep the contract in an unusual way, of which none may be stopped.\n\n\
             Sources: `D` a reference page of the driver interface, `A` a page of the audio driver guide, `K` a page of the kernel\n\
             driver guide, `M` a public header, `S` what the public samples do where no page says it, `COM` the component object\n\
             model. A driver is judged by pages and headers. Where only samples do it, or no port gets there, a deviation is a note\n\
             in the report, and no violation: those rules are marked as noted.\n\n\
             This file is made from the table in `src/contract/rules.rs` and from the variants' tables in `guest-driver/fixture`; a\n\
             test says when it is not (`UPDATE_CONTRACT=1 cargo test -p nt-host` writes it anew).\n\n\
             | rule | demands | source | checked | ",
        );
        text.push_str(CELLS);
        text.push_str("|---|---|---|---|---|---|\n");
        for rule in TABLE {
            let checked = match rule.check_method {
                Always => "whenever it applies".to_owned(),
                Probe(name) => std::format!("by `run contract`, probe `{name}`"),
                NotApplicable(reason) => std::format!("not: {reason}"),
            };
            let noted = if NOTED.contains(&rule.number) { "; noted" } else { "" };
            let Rule { number, title, source, .. } = rule;
            let cells = variants.cells(*number);
            writeln!(text, "| {number} | {title} | {source} | {checked}{noted} | {cells}").unwrap();
        }
        text.push_str(
            "\n## The verifier's own checks\n\n\
             What Driver Verifier checks of every driver, whatever it does; always on. A bug check names them by number as it\n\
             names a rule. This table is made from `src/contract/checks.rs`.\n\n\
             | check | name | demands | as on Windows | ",
        );
        text.push_str(CELLS);
        text.push_str("|---|---|---|---|---|---|\n");
        for check in crate::contract::checks::TABLE {
            let Check { number, name, demands, source } = check;
            let cells = variants.cells(*number);
            writeln!(text, "| {number} | `{name}` | {demands} | {source} | {cells}").unwrap();
        }
        text.push_str(
            "\n## Rules of other services\n\n\
             For drivers that use them: registry keys, events, subdevices that come and go, DMA channels, `ks.sys`, statuses, names,\n\
             descriptors. This table is made from `src/contract/services.rs`.\n\n\
             | rule | demands | source | ",
        );
        let rows = |text: &mut String, rules: &[&Rule]| {
            text.push_str(CELLS);
            text.push_str("|---|---|---|---|---|\n");
            for rule in rules {
                let cells = variants.cells(rule.number);
                let noted = if NOTED.contains(&rule.number) { "; noted" } else { "" };
                writeln!(text, "| {} | {} | {}{noted} | {cells}", rule.number, rule.title, rule.source).unwrap();
            }
        };
        rows(&mut text, crate::contract::services::TABLE);
        text.push_str(
            "\n## Rules of images and of the system's other modules\n\n\
             For every image that is loaded, and for drivers that use `ks.sys`, `drmk.sys`, `wmilib.sys` or `WppRecorder.sys`. This\n\
             table is made from `src/contract/kernel.rs`.\n\n\
             | rule | demands | source | ",
        );
        rows(&mut text, crate::contract::kernel::TABLE);
        text.push_str(
            "\n## Rules of MIDI miniports\n\n\
             For drivers with an `IMiniportMidi`, in place of the rules above that are about `IMiniportDMus` and `IMXF`. This table\n\
             is made from `src/contract/midi.rs`.\n\n\
             | rule | demands | source | ",
        );
        rows(&mut text, crate::contract::midi::TABLE);
        text.push_str(
            "\n## Rules of other ports\n\n\
             For cards with more than music: Topology, WaveCyclic, WavePci and WaveRT ports, the connections between filters. This\n\
             host has no data path for their streams. This table is made from `src/contract/ports.rs`.\n\n\
             | rule | demands | source | ",
        );
        rows(&mut text, crate::contract::ports::TABLE);
        text
    }

    /// Returns the rules of the tables beside the contract's.
    fn of_other_tables() -> impl Iterator<Item = &'static Rule> {
        use crate::contract::{kernel, midi, ports, services};
        [services::TABLE, kernel::TABLE, midi::TABLE, ports::TABLE].into_iter().flatten().copied()
    }

    #[test]
    fn each_rule_and_check_has_a_broken_variant_that_it_names_or_is_only_noted() {
        let variants = Variants::read(Path::new(env!("CARGO_MANIFEST_DIR")));
        let rules = TABLE.iter().filter(|rule| !matches!(rule.check_method, NotApplicable(_))).map(|rule| rule.number);
        let checks = crate::contract::checks::TABLE.iter().map(|check| check.number);
        let others = of_other_tables().map(|rule| rule.number);
        let all = rules.chain(checks).chain(others);
        let without = all.filter(|number| !variants.broken.contains_key(number) && !NOTED.contains(number));
        assert_eq!(without.collect::<Vec<_>>(), Vec::<u16>::new());
        let stopped = NOTED.iter().filter(|number| variants.broken.contains_key(number));
        assert_eq!(stopped.collect::<Vec<_>>(), Vec::<&u16>::new());
    }

    /// Returns the Rust files below a folder.
    fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn what_only_samples_do_is_noted_and_never_a_violation() {
        let tables = ["rules", "services", "kernel", "midi", "ports"].map(|name| {
            let file = std::format!("src/contract/{name}.rs");
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
        });
        let own = tables.concat();
        let all = TABLE.iter().copied().chain(of_other_tables());
        let sample_only = all.filter(|rule| rule.source == "S").map(|rule| rule.number);
        assert_eq!(sample_only.filter(|number| !NOTED.contains(number)).collect::<Vec<_>>(), Vec::<u16>::new());
        let names: Vec<&str> = own
            .lines()
            .filter_map(|line| line.trim().split_once(" = "))
            .filter(|(_, rest)| NOTED.iter().any(|number| rest.starts_with(&std::format!("{number},"))))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), NOTED.len());
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        for file in files {
            let text: String = std::fs::read_to_string(&file).unwrap().split_whitespace().collect();
            for name in &names {
                let judged = ["rules", "ports"].map(|table| std::format!("Violation::new({table}::{name},"));
                assert!(!judged.iter().any(|call| text.contains(call)), "{name} in {}", file.display());
            }
        }
    }

    #[test]
    fn the_table_in_the_documentation_equals_this_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (file, expected) = (folder.join("CONTRACT.md"), document(folder));
        if std::env::var_os("UPDATE_CONTRACT").is_some() {
            std::fs::write(&file, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == expected,
            "CONTRACT.md is not current: UPDATE_CONTRACT=1 cargo test -p nt-host writes it anew"
        );
    }
}
