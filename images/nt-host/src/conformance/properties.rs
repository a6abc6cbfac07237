//! The probe of properties: every item of a filter's nodes and pins, with every size of value, verb, instance and
//! target.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Figures;
use super::synth::{self, of_dls, of_synth};
use crate::contract::lacks;
use crate::contract::note::note;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_NOT_IMPLEMENTED, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::property_type::{BASIC_SUPPORT, GET, SET};
use crate::portcls::com::guids::{self, Printed};
use crate::portcls::com::object::Com;
use crate::portcls::kernel::Edge;
use crate::portcls::ks::descriptor::{Pin as Factory, Property};
use crate::portcls::pin::Pin;
use crate::portcls::port::Port;
use crate::portcls::request::Target;
use crate::portcls::request::property::{self, Instance, Request};

/// More than any value of the property sets has.
const ROOM: usize = 512;

/// What the value's room is filled with, to see whether it was touched.
const UNTOUCHED: u8 = 0xC3;

/// `sizeof(ULONG)` and `sizeof(KSPROPERTY_DESCRIPTION)`: what BASICSUPPORT answers with.
const ACCESS_BYTES: usize = 4;
const DESCRIPTION_BYTES: usize = 40;

/// One property of a node, of a pin or of a filter.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// The handle that it is requested on.
    pub(crate) target: Target<'a>,
    /// The node, of a node property.
    pub(crate) node: Option<u32>,
    /// The item.
    pub(crate) property: &'a Property,
}

/// How a handler answered.
pub(crate) struct Reply {
    pub(crate) status: NTSTATUS,
    pub(crate) says: usize,
    pub(crate) value: Vec<u8>,
}

impl Item<'_> {
    /// Returns the property's name, for messages.
    pub(crate) fn name(&self) -> String {
        let place = match (self.node, self.target) {
            (Some(node), _) => format!("node {node}"),
            (None, Target::Pin(pin)) => format!("pin {}", pin.id()),
            (None, Target::Filter(_)) => "the filter".into(),
        };
        match synth::name(self.property) {
            Some(name) => format!("{name} of {place}"),
            None => format!("property {} of {} of {place}", self.property.id, Printed(&self.property.set)),
        }
    }

    /// Asks on the handle, with whole instance data and a value of `room` bytes.
    pub(crate) fn request(&self, verb: u32, room: usize) -> Reply {
        self.send(verb, &synth::instance(self.property), &vec![UNTOUCHED; room])
    }

    /// Asks on the handle.
    pub(crate) fn send(&self, verb: u32, instance: &[u8], value: &[u8]) -> Reply {
        let mut aligned = crate::portcls::ks::formats::aligned(instance);
        let instance = Instance {
            address: if instance.is_empty() { core::ptr::null_mut() } else { aligned.as_mut_ptr().cast() },
            bytes: instance.len() as u32,
        };
        self.call(self.target, self.node, verb, instance, value)
    }

    fn call(&self, target: Target<'_>, node: Option<u32>, verb: u32, instance: Instance, value: &[u8]) -> Reply {
        let request = Request { node, set: self.property.set, id: self.property.id, verb, instance: &[] };
        let mut value = value.to_vec();
        let (status, says) = property::call_with(target, self.property, &request, instance, &mut value);
        Reply { status, says: says as usize, value }
    }

    /// Returns whether it is this property of a synthesizer node.
    fn is_of_synthesizer(&self, id: u32) -> bool {
        self.node.is_some() && self.property.set == guids::KSPROPSETID_SYNTH && self.property.id == id
    }

    /// Returns whether the item names a verb in its flags.
    pub(super) fn has(&self, verb: u32) -> bool {
        self.property.flags & verb != 0
    }
}

/// Probes the properties of a filter, with an open render pin of it.
pub(crate) fn run(port: &Com<Port>, pin: &Pin) -> Figures {
    let Some(filter) = port.filter() else { return Vec::new() };
    let factory: &Factory = &filter.pins[pin.id() as usize];
    let of_nodes = filter.nodes.iter().enumerate().flat_map(|(node, content)| {
        content.properties.iter().map(move |property| Item {
            target: Target::Pin(pin),
            node: Some(node as u32),
            property,
        })
    });
    let of_pin = factory.properties.iter().map(|property| Item { target: Target::Pin(pin), node: None, property });
    let items: Vec<Item<'_>> = of_nodes.chain(of_pin).collect();
    note_lacking(&items);
    for item in &items {
        verbs(item, port);
        basic_support(item);
        instances(item);
        if item.has(GET) && !synth::has_effect(item.property) {
            sizes(item);
        }
        if item.node.is_some() {
            targets(item, port);
        }
    }
    for node in 0..filter.nodes.len() as u32 {
        let of_node = |set, id| {
            items.iter().find(|item| item.node == Some(node) && item.property.set == set && item.property.id == id)
        };
        if of_node(guids::KSPROPSETID_SYNTH, of_synth::CAPS).is_some() {
            synth::run(&|set, id| of_node(set, id).copied());
        }
    }
    if let Some(volume) = items.iter().find(|item| item.node.is_none() && item.property.set == guids::KSPROPSETID_SYNTH)
    {
        synth::volume(volume);
    }
    vec![("properties checked", items.len() as u64)]
}

/// Notes the rules that are about items which are not there.
fn note_lacking(items: &[Item<'_>]) {
    let lists = |verb| move |item: &Item<'_>| item.has(verb);
    let of_node = |id| move |item: &Item<'_>| item.is_of_synthesizer(id);
    let note = |rule, is_there: bool| {
        if !is_there {
            lacks::note(rule);
        }
    };
    note(rules::PROPERTY_VERBS, items.iter().any(|item| item.has(GET) && !synth::has_effect(item.property)));
    note(rules::PROPERTY_SIZES, items.iter().any(lists(GET)));
    note(rules::BASIC_SUPPORT, items.iter().any(lists(BASIC_SUPPORT)));
    note(rules::PROPERTY_INSTANCE, items.iter().any(|item| synth::least_instance_bytes(item.property) > 0));
    let targets = |item: &Item<'_>| item.node.is_some() && has_targets(item.property);
    note(rules::PROPERTY_TARGETS, items.iter().any(targets));
    note(rules::SYNTH_CAPS, items.iter().any(of_node(of_synth::CAPS)));
    note(rules::PORT_PARAMETERS, items.iter().any(of_node(of_synth::PORTPARAMETERS)));
    note(rules::LATENCY_CLOCK, items.iter().any(of_node(of_synth::LATENCYCLOCK)));
}

/// Returns whether a property is of a set that synthesizer nodes have, on pins and on the filter.
fn has_targets(property: &Property) -> bool {
    property.set == guids::KSPROPSETID_SYNTH || property.set == guids::KSPROPSETID_SYNTH_DLS
}

/// Reports that a handler of properties broke `rule`.
pub(crate) fn broken(rule: &'static Rule, what: String, remedy: &'static str) {
    violation("PCPFNPROPERTY_HANDLER", Violation::new(rule, what, remedy));
}

/// A GET that the item lists is answered, on a pin or on the filter (rule 65). Verbs that it does not list never reach the
/// handler: the port refuses them.
fn verbs(item: &Item<'_>, port: &Com<Port>) {
    if !item.has(GET) || synth::has_effect(item.property) {
        return;
    }
    let whole = synth::instance(item.property);
    let mut aligned = crate::portcls::ks::formats::aligned(&whole);
    let instance = Instance {
        address: if whole.is_empty() { core::ptr::null_mut() } else { aligned.as_mut_ptr().cast() },
        bytes: whole.len() as u32,
    };
    let ask = |target| {
        rules::must_survive(rules::PROPERTY_VERBS, || {
            item.call(target, item.node, GET, instance, &[UNTOUCHED; ROOM]).status
        })
    };
    let refused = |status| matches!(status, STATUS_INVALID_DEVICE_REQUEST | STATUS_NOT_IMPLEMENTED);
    let answers = [ask(item.target), ask(Target::Filter(port))];
    if answers.into_iter().all(refused) {
        broken(
            rules::PROPERTY_VERBS,
            format!(
                "{} lists GET, and the handler answers it with {:#010x} and {:#010x}",
                item.name(),
                answers[0],
                answers[1]
            ),
            "list in the item's Flags the verbs that the handler answers, and no others",
        );
    }
}

/// Checks BASICSUPPORT in all its sizes (rule 67), where the driver answers it.
pub(super) fn basic_support(item: &Item<'_>) {
    if !item.has(BASIC_SUPPORT) {
        return;
    }
    let bad = |what: String| {
        broken(
            rules::BASIC_SUPPORT,
            format!("BASICSUPPORT of {}: {what}", item.name()),
            "4 bytes: KSPROPERTY_TYPE flags; 40 and more: KSPROPERTY_DESCRIPTION with DescriptionSize; 0: STATUS_BUFFER_OVERFLOW and \
             the size; anything else: STATUS_BUFFER_TOO_SMALL",
        );
    };
    for (room, expected) in [
        (0, STATUS_BUFFER_OVERFLOW),
        (1, STATUS_BUFFER_TOO_SMALL),
        (ACCESS_BYTES - 1, STATUS_BUFFER_TOO_SMALL),
        (DESCRIPTION_BYTES - 1, STATUS_BUFFER_TOO_SMALL),
    ] {
        let reply = item.request(BASIC_SUPPORT, room);
        if reply.status != expected || (room == 0 && reply.says < ACCESS_BYTES) {
            // A description's room of 5 to 39 bytes may also be used as room for the access flags.
            if room > ACCESS_BYTES && success(reply.status) && reply.says == ACCESS_BYTES {
                continue;
            }
            bad(format!("{room} bytes are answered with {:#010x} and {} bytes", reply.status, reply.says));
        }
    }
    for room in [ACCESS_BYTES, DESCRIPTION_BYTES, ROOM] {
        let reply = item.request(BASIC_SUPPORT, room);
        if !success(reply.status) {
            bad(format!("{room} bytes are answered with {:#010x}", reply.status));
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| reply.value[at + byte]));
        if reply.says != ACCESS_BYTES && reply.says < DESCRIPTION_BYTES || reply.says > room {
            bad(format!("{room} bytes are answered with ValueSize {}", reply.says));
            continue;
        }
        if reply.says == ACCESS_BYTES && room > ACCESS_BYTES {
            note(
                rules::BASIC_SUPPORT,
                "PCPFNPROPERTY_HANDLER",
                format!("BASICSUPPORT of {} gives access flags, and no description, to {room} bytes", item.name()),
            );
        }
        // KSPROPERTY_DESCRIPTION begins with AccessFlags, then DescriptionSize. What counts is what was returned.
        let (access, total) = (word(0), (reply.says >= DESCRIPTION_BYTES).then(|| word(4)));
        let flags = item.property.flags & (GET | SET);
        if access & flags != flags || access & (GET | SET) & !flags != 0 {
            bad(format!("{room} bytes say access {access:#x}, and the item has {:#x}", item.property.flags));
        }
        if let Some(total) = total.filter(|total| !(DESCRIPTION_BYTES as u32..=65_536).contains(total)) {
            bad(format!("{room} bytes say that the description has {total}"));
        }
    }
    rules::BASIC_SUPPORT.held();
}

/// Checks that instance data that is missing or too short is refused, and not read past its end (rule 68).
fn instances(item: &Item<'_>) {
    let whole = synth::instance(item.property);
    let least = synth::least_instance_bytes(item.property);
    if least == 0 {
        return;
    }
    let Some(edge) = Edge::new() else { return };
    let verb = if item.has(GET) { GET } else { SET };
    for bytes in [0, 1, least - 1] {
        let address: PVOID = if bytes == 0 { core::ptr::null_mut() } else { edge.place(&whole[..bytes]).cast() };
        let instance = Instance { address, bytes: bytes as u32 };
        let reply = rules::must_survive(rules::PROPERTY_INSTANCE, || {
            item.call(item.target, item.node, verb, instance, &[UNTOUCHED; ROOM])
        });
        if success(reply.status) {
            broken(
                rules::PROPERTY_INSTANCE,
                format!("{} needs {least} bytes of instance data, and succeeds with {bytes}", item.name()),
                "compare InstanceSize with what is needed before Instance is read, and fail if it is less",
            );
        }
    }
}

/// Sizes of a value that is got (rule 66).
pub(super) fn sizes(item: &Item<'_>) {
    let size = item.request(GET, 0);
    let needed = size.says;
    if size.status != STATUS_BUFFER_OVERFLOW || needed == 0 || needed > ROOM {
        if success(size.status) {
            broken(
                rules::PROPERTY_SIZES,
                format!("{} succeeds with no room for its value", item.name()),
                "ValueSize 0 asks for the size: set it, and return STATUS_BUFFER_OVERFLOW",
            );
        }
        // It cannot be got here and now.
        return;
    }
    let whole = item.request(GET, needed);
    if !success(whole.status) {
        return;
    }
    let short = item.request(GET, needed - 1);
    if short.status != STATUS_BUFFER_TOO_SMALL {
        broken(
            rules::PROPERTY_SIZES,
            format!("{} needs {needed} bytes, and answers {:#010x} to one less", item.name(), short.status),
            "return STATUS_BUFFER_TOO_SMALL when ValueSize is less than needed",
        );
    }
    for room in [needed, needed + 100] {
        let reply = item.request(GET, room);
        if !success(reply.status) || reply.says != needed || reply.value[needed..].iter().any(|byte| *byte != UNTOUCHED)
        {
            broken(
                rules::PROPERTY_SIZES,
                format!(
                    "{} needs {needed} bytes, and with room for {room} it answers {:#010x} and says {}",
                    item.name(),
                    reply.status,
                    reply.says
                ),
                "write as much as the value has, and set ValueSize to that",
            );
        }
    }
}

/// Checks a node property on the filter (rule 69).
fn targets(item: &Item<'_>, port: &Com<Port>) {
    if !has_targets(item.property) {
        return;
    }
    let whole = synth::instance(item.property);
    let mut aligned = crate::portcls::ks::formats::aligned(&whole);
    let instance = Instance {
        address: if whole.is_empty() { core::ptr::null_mut() } else { aligned.as_mut_ptr().cast() },
        bytes: whole.len() as u32,
    };
    let verb = if item.has(GET) { GET } else { SET };
    let is = |set, id| item.property.set == set && item.property.id == id;
    let on_filter = rules::must_survive(rules::PROPERTY_TARGETS, || {
        item.call(Target::Filter(port), item.node, verb, instance, &[0; ROOM])
    });
    if is(guids::KSPROPSETID_SYNTH, of_synth::CAPS) && !success(on_filter.status) {
        broken(
            rules::PROPERTY_TARGETS,
            format!("{} fails on a filter handle with {:#010x}", item.name(), on_filter.status),
            "answer SYNTH_CAPS without a MinorTarget too: devices are enumerated that way, before a pin is open",
        );
    }
    let of_a_pin = is(guids::KSPROPSETID_SYNTH, of_synth::PORTPARAMETERS)
        || is(guids::KSPROPSETID_SYNTH_DLS, of_dls::DOWNLOAD)
        || is(guids::KSPROPSETID_SYNTH, of_synth::LATENCYCLOCK);
    if of_a_pin && success(on_filter.status) {
        note(
            rules::PROPERTY_TARGETS,
            "PCPFNPROPERTY_HANDLER",
            format!("{} is a pin's in the samples, and succeeds on a filter handle", item.name()),
        );
    }
}
