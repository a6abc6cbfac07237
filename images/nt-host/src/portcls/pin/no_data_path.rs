//! Streams of ports that this host has no data path for: a client is refused, and told why.

use crate::nt::NTSTATUS;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_SUPPORTED,
};
use crate::portcls::com::object::Com;
use crate::portcls::kernel;
use crate::portcls::ks::descriptor::Pin as Factory;
use crate::portcls::ks::formats;
use crate::portcls::port::Port;

/// Returns the status that a stream of a Topology or wave port is refused with: what is wrong with the request comes
/// first, as with every pin; the miniport is not asked for a stream that nothing would feed.
pub(super) fn refusal(port: &Com<Port>, id: u32, factory: &Factory, format: &[u8]) -> NTSTATUS {
    match formats::fit(factory, format) {
        Err(formats::Unfit::Length { .. }) => return STATUS_INVALID_PARAMETER,
        Err(formats::Unfit::NoMatch) => return STATUS_NO_MATCH,
        Ok(()) => {}
    }
    let instances = port.instances(id).unwrap_or_default();
    if instances.current >= instances.possible || instances.global_current >= instances.global_possible {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    kernel::warn(format_args!(
        "a stream is requested on pin {id} of an {}: this host has no data path for sound of wave ports, so {}::NewStream is not called",
        port.kind().port_name(),
        port.kind().miniport_name()
    ));
    STATUS_NOT_SUPPORTED
}
