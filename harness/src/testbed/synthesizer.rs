//! Property requests to synthesizer nodes that no application sends, but Windows' own tests do, before a song's pins
//! are opened.
//!
//! The guest judges the answers: it stops with a bug check that names the rule. The harness judges only that no driver
//! opens a pin in a format that the pin does not carry.

use guest_protocol::{Caller, FailureKind, Handle, PropertyRequest, PropertyVerb, StreamFormat};

use super::error::TestBedError;
use super::session::{OpenedFilter, Session, SessionError};
use crate::machine::Health;

/// `KSNODETYPE_SYNTHESIZER` (ksmedia.h), in memory order.
const SYNTHESIZER_NODE: [u8; 16] =
    [0xf3, 0x20, 0xf2, 0xdf, 0x0f, 0xf7, 0xd0, 0x11, 0xb9, 0x17, 0x00, 0xa0, 0xc9, 0x22, 0x31, 0x96];

/// `KSPROPSETID_Synth` (dmusprop.h), in memory order.
pub const SYNTH_PROPERTIES: [u8; 16] =
    [0x25, 0xae, 0xdf, 0xfe, 0x6e, 0xe4, 0xd1, 0x11, 0xaa, 0xce, 0x00, 0x00, 0xf8, 0x75, 0xac, 0x12];

/// `KSPROPSETID_Synth_Dls` (dmusprop.h), in memory order.
pub const DLS_PROPERTIES: [u8; 16] =
    [0x2C, 0xFA, 0x23, 0xD5, 0xE3, 0xDE, 0xD1, 0x11, 0xA7, 0x89, 0x00, 0x00, 0xF8, 0x75, 0xAC, 0x12];

/// `KSPROPERTY_SYNTH_DLS_DOWNLOAD`.
pub const DLS_DOWNLOAD: u32 = 0;

/// `KSPROPERTY_SYNTH_DLS_UNLOAD`.
pub const DLS_UNLOAD: u32 = 1;

/// `KSPROPERTY_SYNTH_CAPS`.
const CAPS: u32 = 2;

/// `KSPROPERTY_SYNTH_PORTPARAMETERS`.
const PORT_PARAMETERS: u32 = 3;

/// `KSPROPERTY_SYNTH_CHANNELGROUPS`.
const CHANNEL_GROUPS: u32 = 4;

/// Offsets of `Flags` and `MaxChannelGroups` in `SYNTHCAPS` (dmusprop.h).
const CAPS_FLAGS_AT: usize = 16;
const CAPS_CHANNEL_GROUPS_AT: usize = 24;

/// Bytes of `SYNTH_PORTPARAMS`.
const PORT_PARAMETERS_BYTES: usize = 28;

/// Sizes of the buffer for the value of [`CAPS`], in bytes: none, which asks for the size; a byte; an access mask; one
/// less than `SYNTHCAPS` has, as much, and more.
const CAPS_ROOMS: [usize; 6] = [0, 1, 4, 295, 296, 400];

/// Reads each synthesizer node's capabilities with every size of buffer, and tries to open the wave pin with a format
/// of music.
///
/// # Errors
/// [`TestBedError::WrongFormatOpened`] where the wave pin opens as music; [`TestBedError::Session`] for what the guest
/// says. A refusal by the driver is right.
pub fn inspect<H: Health>(session: &mut Session<'_, H>, filter: &OpenedFilter, wave: u32) -> Result<(), TestBedError> {
    for node in synthesizer_nodes(filter) {
        for room in CAPS_ROOMS {
            ask_caps(session, filter.handle, node, room)?;
        }
    }
    match session.create_pin(filter.handle, wave, StreamFormat::DirectMusic) {
        Ok(_) => Err(TestBedError::WrongFormatOpened { pin: wave }),
        Err(SessionError::Refused { failure, .. }) if matches!(failure.kind, FailureKind::Status(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads `SYNTHCAPS.Flags` of a synthesizer node; `None` if the driver refuses.
///
/// # Errors
/// [`SessionError`] for a guest that does not answer, or stops.
pub fn caps<H: Health>(session: &mut Session<'_, H>, target: Handle, node: u32) -> Result<Option<u32>, SessionError> {
    caps_word(session, target, node, CAPS_FLAGS_AT)
}

/// Returns the largest number of channel groups that a synthesizer node of a filter says it has
/// (`SYNTHCAPS.MaxChannelGroups`), read on an open pin; 1 where no node says any.
///
/// # Errors
/// [`SessionError`] for a guest that does not answer, or stops. A refusal by the driver is allowed.
pub fn channel_groups_max<H: Health>(
    session: &mut Session<'_, H>,
    filter: &OpenedFilter,
    pin: Handle,
) -> Result<u32, SessionError> {
    let mut most = 1;
    for node in synthesizer_nodes(filter) {
        most = most.max(caps_word(session, pin, node, CAPS_CHANNEL_GROUPS_AT)?.unwrap_or(1));
    }
    Ok(most)
}

/// Reads a word of `SYNTHCAPS` at an offset; `None` if the driver refuses.
fn caps_word<H: Health>(
    session: &mut Session<'_, H>,
    target: Handle,
    node: u32,
    at: usize,
) -> Result<Option<u32>, SessionError> {
    const CAPS_BYTES: usize = 296;
    let request = of_node(target, node, CAPS, PropertyVerb::Get, vec![0; CAPS_BYTES]);
    let (status, value) = ask_node(session, "get KSPROPERTY_SYNTH_CAPS", &request)?;
    let word = value.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Ok(word.filter(|_| status == 0))
}

/// Reads each synthesizer node's port parameters on an open pin. No parameter is marked as valid, so none changes.
///
/// # Errors
/// [`SessionError`] for a guest that does not answer, or stops. A refusal by the driver is allowed.
pub fn ask_port_parameters<H: Health>(
    session: &mut Session<'_, H>,
    filter: &OpenedFilter,
    pin: Handle,
) -> Result<(), SessionError> {
    for node in synthesizer_nodes(filter) {
        // `ValidParams` of the instance is 0.
        let request = PropertyRequest {
            instance: vec![0; PORT_PARAMETERS_BYTES],
            ..of_node(pin, node, PORT_PARAMETERS, PropertyVerb::Get, vec![0; PORT_PARAMETERS_BYTES])
        };
        ask_node(session, &format!("get KSPROPERTY_SYNTH_PORTPARAMETERS of node {node}"), &request)?;
    }
    Ok(())
}

/// Requests a number of channel groups from each synthesizer node.
///
/// # Errors
/// [`SessionError`] for a guest that does not answer, or stops. A driver that has fewer groups routes events wrongly,
/// which shows in the PCM.
pub fn set_channel_groups<H: Health>(
    session: &mut Session<'_, H>,
    filter: &OpenedFilter,
    pin: Handle,
    groups: u32,
) -> Result<(), SessionError> {
    for node in synthesizer_nodes(filter) {
        let request = of_node(pin, node, CHANNEL_GROUPS, PropertyVerb::Set, groups.to_le_bytes().to_vec());
        ask_node(session, &format!("set KSPROPERTY_SYNTH_CHANNELGROUPS of node {node}"), &request)?;
    }
    Ok(())
}

/// Returns the synthesizer nodes of a filter.
pub fn synthesizer_nodes(filter: &OpenedFilter) -> impl Iterator<Item = u32> {
    filter.nodes.iter().enumerate().filter(|(_, kind)| **kind == SYNTHESIZER_NODE).map(|(node, _)| node as u32)
}

fn ask_caps<H: Health>(
    session: &mut Session<'_, H>,
    target: Handle,
    node: u32,
    room: usize,
) -> Result<(), SessionError> {
    let step = format!("get KSPROPERTY_SYNTH_CAPS of node {node} with room for {room} bytes");
    let request = of_node(target, node, CAPS, PropertyVerb::Get, vec![0; room]);
    // Whatever the status: too small a buffer must be refused, and the guest judges how.
    ask_node(session, &step, &request).map(|_| ())
}

/// Makes a request as whichever caller the guest can be: the kernel where it hosts the driver itself, else its agent's process.
/// Returns the status and the value.
fn ask_node<H: Health>(
    session: &mut Session<'_, H>,
    step: &str,
    request: &PropertyRequest,
) -> Result<(u32, Vec<u8>), SessionError> {
    for caller in [Caller::Kernel, Caller::User64] {
        match session.property(step, PropertyRequest { caller, ..request.clone() }) {
            Err(error) if error.is_unsupported() => {}
            answer => return answer,
        }
    }
    session.property(step, PropertyRequest { caller: Caller::User32, ..request.clone() })
}

/// Returns the request for a property of a synthesizer node, without instance data.
fn of_node(target: Handle, node: u32, id: u32, verb: PropertyVerb, value: Vec<u8>) -> PropertyRequest {
    let (caller, node, set, instance) = (Caller::Kernel, Some(node), SYNTH_PROPERTIES, Vec::new());
    PropertyRequest { caller, target, node, set, id, verb, instance, value }
}
