//! What the port itself answers to property requests: the size protocol, and KSPROPSETID_Pin and KSPROPSETID_Topology
//! from the filter descriptor.

use alloc::vec::Vec;

use super::descriptor::{DataRange, Filter};
use crate::nt::NTSTATUS;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_NOT_FOUND, STATUS_SUCCESS,
};
use crate::portcls::com::abi::{KsIdentifier, property_type};
use crate::portcls::com::guids::{self, GUID};

/// `sizeof(KSPROPERTY_DESCRIPTION)`.
const PROPERTY_DESCRIPTION_BYTES: usize = 40;

/// `KSPROPERTY_PIN` (ks.h).
pub(crate) mod pin {
    /// `KSPROPERTY_PIN_CINSTANCES`.
    pub(crate) const CINSTANCES: u32 = 0;
    /// `KSPROPERTY_PIN_CTYPES`.
    pub(crate) const CTYPES: u32 = 1;
    /// `KSPROPERTY_PIN_DATAFLOW`.
    pub(crate) const DATAFLOW: u32 = 2;
    /// `KSPROPERTY_PIN_DATARANGES`.
    pub(crate) const DATARANGES: u32 = 3;
    /// `KSPROPERTY_PIN_DATAINTERSECTION`.
    pub(crate) const DATAINTERSECTION: u32 = 4;
    /// `KSPROPERTY_PIN_INTERFACES`.
    pub(crate) const INTERFACES: u32 = 5;
    /// `KSPROPERTY_PIN_MEDIUMS`.
    pub(crate) const MEDIUMS: u32 = 6;
    /// `KSPROPERTY_PIN_COMMUNICATION`.
    pub(crate) const COMMUNICATION: u32 = 7;
    /// `KSPROPERTY_PIN_GLOBALCINSTANCES`.
    pub(crate) const GLOBALCINSTANCES: u32 = 8;
    /// `KSPROPERTY_PIN_NECESSARYINSTANCES`.
    pub(crate) const NECESSARYINSTANCES: u32 = 9;
    /// `KSPROPERTY_PIN_PHYSICALCONNECTION`.
    pub(crate) const PHYSICALCONNECTION: u32 = 10;
    /// `KSPROPERTY_PIN_CATEGORY`.
    pub(crate) const CATEGORY: u32 = 11;
    /// `KSPROPERTY_PIN_NAME`.
    pub(crate) const NAME: u32 = 12;
}

/// `KSPROPERTY_TOPOLOGY` (ks.h).
pub(crate) mod topology {
    /// `KSPROPERTY_TOPOLOGY_CATEGORIES`.
    pub(crate) const CATEGORIES: u32 = 0;
    /// `KSPROPERTY_TOPOLOGY_NODES`.
    pub(crate) const NODES: u32 = 1;
    /// `KSPROPERTY_TOPOLOGY_CONNECTIONS`.
    pub(crate) const CONNECTIONS: u32 = 2;
    /// `KSPROPERTY_TOPOLOGY_NAME`.
    pub(crate) const NAME: u32 = 3;
}

/// How a request ended: the status, and how many bytes of the value count (or would be needed).
pub(crate) type Answer = (NTSTATUS, u32);

/// Answers a value of fixed size: 0 asks for the size, too little is refused, more than enough is fine.
pub(crate) fn fixed(bytes: &[u8], value: &mut [u8]) -> Answer {
    let needed = bytes.len() as u32;
    if value.is_empty() && needed > 0 {
        return (STATUS_BUFFER_OVERFLOW, needed);
    }
    match value.get_mut(..bytes.len()) {
        Some(room) => {
            room.copy_from_slice(bytes);
            (STATUS_SUCCESS, needed)
        }
        None => (STATUS_BUFFER_TOO_SMALL, needed),
    }
}

/// Answers a `KSMULTIPLE_ITEM`: as [`fixed`], and room for a single `ULONG` gets the size in it.
pub(crate) fn multiple<'a>(items: impl Iterator<Item = &'a [u8]>, value: &mut [u8]) -> Answer {
    let mut bytes = alloc::vec![0; 8];
    let mut count = 0_u32;
    for item in items {
        // Items begin at multiples of 8 (ks.h, FILE_QUAD_ALIGNMENT).
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(item);
        count += 1;
    }
    let size = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&size);
    bytes[4..8].copy_from_slice(&count.to_le_bytes());
    if value.len() == size.len() { fixed(&size, value) } else { fixed(&bytes, value) }
}

/// Answers BASICSUPPORT for a property with these access flags and no further description.
pub(crate) fn basic_support(flags: u32, value: &mut [u8]) -> Answer {
    let access =
        flags & (property_type::GET | property_type::SET | property_type::BASIC_SUPPORT) | property_type::BASIC_SUPPORT;
    let mut description = Vec::with_capacity(PROPERTY_DESCRIPTION_BYTES);
    description.extend(access.to_le_bytes());
    description.extend((PROPERTY_DESCRIPTION_BYTES as u32).to_le_bytes());
    description.resize(PROPERTY_DESCRIPTION_BYTES, 0);
    if value.len() == 4 { fixed(&access.to_le_bytes(), value) } else { fixed(&description, value) }
}

/// Instances of a pin, for `KSPROPERTY_PIN_CINSTANCES` and its relatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instances {
    pub(crate) necessary: u32,
    pub(crate) current: u32,
    pub(crate) possible: u32,
    pub(crate) global_current: u32,
    pub(crate) global_possible: u32,
}

/// Answers a GET of KSPROPSETID_Pin, data intersection aside. `instance` is what follows `KSPROPERTY`: the pin's id.
pub(crate) fn pin_property(
    filter: &Filter,
    instances: impl FnOnce(u32) -> Instances,
    id: u32,
    instance: &[u8],
    value: &mut [u8],
) -> Answer {
    if id == pin::CTYPES {
        return fixed(&(filter.pins.len() as u32).to_le_bytes(), value);
    }
    let Some(number) = pin_id(instance) else { return (STATUS_INVALID_PARAMETER, 0) };
    let Some(factory) = filter.pins.get(number as usize) else { return (STATUS_INVALID_PARAMETER, 0) };
    let pair = |possible: u32, current: u32| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&possible.to_le_bytes());
        bytes[4..].copy_from_slice(&current.to_le_bytes());
        bytes
    };
    match id {
        pin::DATAFLOW => fixed(&factory.data_flow.to_le_bytes(), value),
        pin::COMMUNICATION => fixed(&factory.communication.to_le_bytes(), value),
        pin::DATARANGES => {
            // What a range has of attributes stands behind it, as an item of its own.
            let attributes: Vec<Option<Vec<u8>>> = factory.ranges.iter().map(attribute_list).collect();
            let items = factory.ranges.iter().zip(&attributes);
            multiple(
                items.flat_map(|(range, list)| [Some(&range.bytes), list.as_ref()]).flatten().map(Vec::as_slice),
                value,
            )
        }
        // The port ignores the descriptor's interfaces: standard streaming is what there is.
        pin::INTERFACES => identifiers(&[], guids::KSINTERFACESETID_STANDARD, value),
        pin::MEDIUMS => identifiers(&factory.mediums, guids::KSMEDIUMSETID_STANDARD, value),
        pin::CINSTANCES => {
            let instances = instances(number);
            fixed(&pair(instances.possible, instances.current), value)
        }
        pin::GLOBALCINSTANCES => {
            let instances = instances(number);
            fixed(&pair(instances.global_possible, instances.global_current), value)
        }
        pin::NECESSARYINSTANCES => fixed(&instances(number).necessary.to_le_bytes(), value),
        pin::CATEGORY => guid(factory.category.as_ref(), value),
        pin::NAME => guid(factory.name.as_ref().or(factory.category.as_ref()), value),
        _ => (STATUS_NOT_FOUND, 0),
    }
}

/// Answers KSPROPERTY_PIN_PHYSICALCONNECTION: a `KSPIN_PHYSICALCONNECTION` with the other pin and its filter's symbolic
/// link.
pub(crate) fn physical_connection(connection: Option<(u32, alloc::string::String)>, value: &mut [u8]) -> Answer {
    let Some((pin, link)) = connection else { return (STATUS_NOT_FOUND, 0) };
    let link: Vec<u8> = link.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut bytes = ((2 * size_of::<u32>() + link.len()) as u32).to_le_bytes().to_vec();
    bytes.extend(pin.to_le_bytes());
    bytes.extend(link);
    fixed(&bytes, value)
}

/// Answers a GET of KSPROPSETID_Topology.
pub(crate) fn topology_property(filter: &Filter, id: u32, instance: &[u8], value: &mut [u8]) -> Answer {
    match id {
        topology::CATEGORIES => guid_list(filter.categories.iter(), value),
        topology::NODES => guid_list(filter.nodes.iter().map(|node| &node.node_type), value),
        topology::CONNECTIONS => {
            let connections: Vec<[u8; 16]> = filter
                .connections
                .iter()
                .map(|connection| {
                    let mut bytes = [0; 16];
                    let words = [connection.from_node, connection.from_pin, connection.to_node, connection.to_pin];
                    bytes
                        .chunks_exact_mut(4)
                        .zip(words)
                        .for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
                    bytes
                })
                .collect();
            multiple(connections.iter().map(<[u8; 16]>::as_slice), value)
        }
        topology::NAME => match pin_id(instance).and_then(|node| filter.nodes.get(node as usize)) {
            Some(node) => guid(Some(node.name.as_ref().unwrap_or(&node.node_type)), value),
            None => (STATUS_INVALID_PARAMETER, 0),
        },
        _ => (STATUS_NOT_FOUND, 0),
    }
}

/// Returns a data range's attributes as a `KSMULTIPLE_ITEM`, if it has some.
fn attribute_list(range: &DataRange) -> Option<Vec<u8>> {
    if range.attributes.is_empty() {
        return None;
    }
    let mut list = alloc::vec![0; 8];
    for attribute in &range.attributes {
        list.resize(list.len().next_multiple_of(8), 0);
        list.extend(attribute);
    }
    let size = (list.len() as u32).to_le_bytes();
    list[..4].copy_from_slice(&size);
    list[4..8].copy_from_slice(&(range.attributes.len() as u32).to_le_bytes());
    Some(list)
}

/// A verb that the port does not have for a property of its own.
pub(crate) const WRONG_VERB: Answer = (STATUS_INVALID_DEVICE_REQUEST, 0);

/// Returns the id in `KSP_PIN` or `KSP_NODE`, after the property's header.
pub(crate) fn pin_id(instance: &[u8]) -> Option<u32> {
    instance.first_chunk::<8>().map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
}

fn guid(found: Option<&GUID>, value: &mut [u8]) -> Answer {
    found.map_or((STATUS_NOT_FOUND, 0), |guid| fixed(&guids::to_bytes(guid), value))
}

fn guid_list<'a>(list: impl Iterator<Item = &'a GUID>, value: &mut [u8]) -> Answer {
    let bytes: Vec<[u8; 16]> = list.map(guids::to_bytes).collect();
    multiple(bytes.iter().map(<[u8; 16]>::as_slice), value)
}

fn identifiers(list: &[KsIdentifier], default_set: GUID, value: &mut [u8]) -> Answer {
    let bytes = |identifier: &KsIdentifier| {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&guids::to_bytes(&identifier.set));
        bytes[16..20].copy_from_slice(&identifier.id.to_le_bytes());
        bytes[20..].copy_from_slice(&identifier.flags.to_le_bytes());
        bytes
    };
    let default = [KsIdentifier { set: default_set, id: 0, flags: 0 }];
    let list: Vec<[u8; 24]> = if list.is_empty() { &default } else { list }.iter().map(bytes).collect();
    multiple(list.iter().map(<[u8; 24]>::as_slice), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::ks::descriptor::tests::synthesizer;

    fn instances(_: u32) -> Instances {
        Instances { necessary: 0, current: 1, possible: 2, global_current: 1, global_possible: 3 }
    }

    fn request(id: u32, pin: u32, room: usize) -> (Answer, Vec<u8>) {
        let mut instance = pin.to_le_bytes().to_vec();
        instance.extend([0; 4]);
        let mut value = std::vec![0xEE; room];
        (pin_property(&synthesizer(), instances, id, &instance, &mut value), value)
    }

    #[test]
    fn implements_the_size_protocol_of_properties() {
        assert_eq!(request(pin::DATAFLOW, 0, 0).0, (STATUS_BUFFER_OVERFLOW, 4));
        assert_eq!(request(pin::DATAFLOW, 0, 3).0, (STATUS_BUFFER_TOO_SMALL, 4));
        assert_eq!(request(pin::DATAFLOW, 0, 4), ((STATUS_SUCCESS, 4), std::vec![1, 0, 0, 0]));
        let (answer, value) = request(pin::DATAFLOW, 0, 100);
        assert_eq!((answer, value[4]), ((STATUS_SUCCESS, 4), 0xEE));
    }

    #[test]
    fn a_list_gives_its_size_as_a_ulong() {
        let ((status, length), value) = request(pin::DATARANGES, 0, 4);
        assert_eq!((status, length, value), (STATUS_SUCCESS, 4, 104_u32.to_le_bytes().to_vec()));
        let ((status, length), value) = request(pin::DATARANGES, 0, 104);
        assert_eq!((status, length, value[4]), (STATUS_SUCCESS, 104, 1));
    }

    #[test]
    fn the_pin_count_needs_no_pin_and_everything_else_does() {
        assert_eq!(request(pin::CTYPES, 99, 4), ((STATUS_SUCCESS, 4), std::vec![3, 0, 0, 0]));
        assert_eq!(request(pin::DATAFLOW, 99, 4).0, (STATUS_INVALID_PARAMETER, 0));
        let mut value = [0; 4];
        assert_eq!(
            pin_property(&synthesizer(), instances, pin::DATAFLOW, &[0; 3], &mut value).0,
            STATUS_INVALID_PARAMETER
        );
    }

    #[test]
    fn returns_possible_then_current_instances() {
        assert_eq!(request(pin::CINSTANCES, 0, 8).1, std::vec![2, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(request(pin::GLOBALCINSTANCES, 0, 8).1, std::vec![3, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn the_topology_lists_nodes_and_connections() {
        let mut value = [0; 56];
        let answer = topology_property(&synthesizer(), topology::CONNECTIONS, &[], &mut value);
        assert_eq!((answer, value[4]), ((STATUS_SUCCESS, 56), 3));
        let mut value = [0; 24];
        assert_eq!(topology_property(&synthesizer(), topology::NODES, &[], &mut value), (STATUS_SUCCESS, 24));
        assert_eq!(value[8..], guids::to_bytes(&guids::KSNODETYPE_SYNTHESIZER));
    }

    #[test]
    fn a_physical_connection_names_the_other_pin_and_filter() {
        let mut value = [0; 16];
        let answer = physical_connection(Some((3, "abc".into())), &mut value);
        assert_eq!((answer, &value[..10]), ((STATUS_SUCCESS, 16), &[16, 0, 0, 0, 3, 0, 0, 0, b'a', 0][..]));
        assert_eq!(physical_connection(None, &mut value), (STATUS_NOT_FOUND, 0));
    }

    #[test]
    fn answers_basic_support_with_flags_or_a_description() {
        let mut short = [0; 4];
        assert_eq!(basic_support(property_type::GET, &mut short), (STATUS_SUCCESS, 4));
        assert_eq!(u32::from_le_bytes(short), 0x201);
        let mut description = [0; 40];
        assert_eq!(basic_support(property_type::GET, &mut description), (STATUS_SUCCESS, 40));
        assert_eq!(basic_support(property_type::GET, &mut [0; 20]).0, STATUS_BUFFER_TOO_SMALL);
    }
}
