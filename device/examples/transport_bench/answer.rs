//! How a bare back-end answers the request of the measurement: as the card does, without its checks.

use std::io;

use card_spec::control::{Latency, RequestHeader, ResponseHeader, Status};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestMemoryMmap};
use zerocopy::{FromBytes, IntoBytes};

/// Reads the request of a chain, writes the answer into it, and returns the bytes written.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the chain holds no request, or a buffer is not in memory.
pub(crate) fn answer(memory: &GuestMemoryMmap, chain: impl Iterator<Item = Descriptor>) -> io::Result<u32> {
    let mut request = Vec::new();
    let mut written = 0;
    for descriptor in chain {
        if !descriptor.is_write_only() {
            let start = request.len();
            request.resize(start + descriptor.len() as usize, 0);
            memory.read_slice(&mut request[start..], descriptor.addr()).map_err(io::Error::other)?;
            continue;
        }
        let (header, _) = RequestHeader::read_from_prefix(&request).map_err(|_| io::ErrorKind::InvalidData)?;
        let latency = Latency { minimum: 0.into() };
        let length = (size_of::<Latency>() as u32).into();
        let response = ResponseHeader { status: Status::OK.0.into(), length, tag: header.tag };
        let bytes = [response.as_bytes(), latency.as_bytes()].concat();
        memory.write_slice(&bytes, descriptor.addr()).map_err(io::Error::other)?;
        written = bytes.len() as u32;
    }
    Ok(written)
}
