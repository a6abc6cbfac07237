//! The probe of filters without a data path: what a client learns of a card's mixer and wave devices when it looks for
//! its way through them, and every property of theirs that it can reach on a filter handle.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use guest_protocol::Failure;

use super::Figures;
use super::properties::{Item, basic_support, sizes};
use crate::harness::failure;
use crate::io::names;
use crate::nt::status::{STATUS_NOT_FOUND, success};
use crate::portcls::com::abi::property_type::{BASIC_SUPPORT, GET, SET};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::Com;
use crate::portcls::ks::answers::{pin, topology};
use crate::portcls::port::Port;
use crate::portcls::request::Target;
use crate::portcls::request::property::{self, Request, Sent};

/// Longest answer that a client of this probe takes.
const ANSWER_BYTES: usize = 4096;

/// Begin of a symbolic link of this machine's own devices.
const OWN_LINKS: &str = "\\??\\PCI#";

/// Sends a GET on the filter. Returns the value, or none where the filter has no such thing.
fn get(port: &Com<Port>, set: GUID, id: u32, instance: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let request = Request { node: None, set, id, verb: GET, instance };
    let mut value = vec![0; ANSWER_BYTES];
    let Sent::Answered((status, length)) =
        property::send(Target::Filter(port), &request, &mut value, core::ptr::null_mut())
    else {
        return Err(failure::request(format!("property {id} of {} stays pending", guids::Printed(&set))));
    };
    if status == STATUS_NOT_FOUND {
        return Ok(None);
    }
    if !success(status) {
        return Err(failure::status(status, &format!("property {id} of {} is not answered", guids::Printed(&set))));
    }
    value.truncate(length as usize);
    Ok(Some(value))
}

/// Follows the wire at a pin. Returns whether it leads to a filter of this machine.
fn follow(port: &Com<Port>, instance: &[u8]) -> Result<Option<bool>, Failure> {
    let Some(value) = get(port, guids::KSPROPSETID_PIN, pin::PHYSICALCONNECTION, instance)? else { return Ok(None) };
    // KSPIN_PHYSICALCONNECTION: size, pin, symbolic link.
    let units = value.get(2 * size_of::<u32>()..).unwrap_or_default().chunks_exact(2);
    let units: Vec<u16> =
        units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])).take_while(|unit| *unit != 0).collect();
    let link = String::from_utf16_lossy(&units);
    if !link.starts_with(OWN_LINKS) {
        return Ok(Some(false));
    }
    if names::interfaces().iter().any(|interface| interface.link == link && interface.enabled) {
        return Ok(Some(true));
    }
    Err(failure::request(format!("a physical connection leads to {link}, which no device interface has")))
}

/// Probes a filter.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) for a connection that leads nowhere,
/// [`FailureKind::Status`](guest_protocol::FailureKind::Status) for a property of every filter that is not answered.
pub(crate) fn run(port: &Com<Port>) -> Result<Figures, Failure> {
    let Some(filter) = port.filter() else { return Ok(Vec::new()) };
    let mut answers = 0;
    let (mut inside, mut outside) = (0, 0);
    for id in [topology::CATEGORIES, topology::NODES, topology::CONNECTIONS] {
        answers += u64::from(get(port, guids::KSPROPSETID_TOPOLOGY, id, &[])?.is_some());
    }
    for number in 0..filter.pins.len() as u32 {
        let mut instance = number.to_le_bytes().to_vec();
        instance.resize(2 * size_of::<u32>(), 0);
        for id in [
            pin::DATAFLOW,
            pin::COMMUNICATION,
            pin::DATARANGES,
            pin::CINSTANCES,
            pin::NECESSARYINSTANCES,
            pin::CATEGORY,
            pin::NAME,
        ] {
            answers += u64::from(get(port, guids::KSPROPSETID_PIN, id, &instance)?.is_some());
        }
        match follow(port, &instance)? {
            Some(true) => inside += 1,
            Some(false) => outside += 1,
            None => {}
        }
    }
    let of_nodes = filter
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(node, content)| content.properties.iter().map(move |property| (Some(node as u32), property)));
    let of_filter = filter.properties.iter().map(|property| (None, property));
    let mut properties = 0;
    for (node, property) in of_nodes.chain(of_filter) {
        let item = Item { target: Target::Filter(port), node, property };
        if item.has(BASIC_SUPPORT) {
            basic_support(&item);
        }
        if item.has(GET) {
            sizes(&item);
        }
        set_again(&item);
        properties += 1;
    }
    Ok(vec![
        ("properties answered by ports", answers),
        ("physical connections followed", inside),
        ("physical connections to other adapters", outside),
        ("properties of filters and their nodes", properties),
    ])
}

/// Sets a property to what it is.
fn set_again(item: &Item<'_>) {
    if !item.has(GET) || !item.has(SET) {
        return;
    }
    let got = item.request(GET, ANSWER_BYTES);
    if success(got.status) {
        let value = got.value.get(..got.says).unwrap_or_default();
        let instance = super::synth::instance(item.property);
        let _ = item.send(SET, &instance, value);
    }
}
