//! Carries out a client's messages.

use std::fs::File;

use rustix::io::Errno;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD,
    VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE, VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{Command, DmaMapFlags, DmaUnmapFlags};
use zerocopy::IntoBytes;

use super::connection::{Message, parse};
use super::messages::{
    DeviceInfo, DmaMap, DmaUnmap, FDS_MAX, IrqInfo, RegionAccess, RegionInfo, SetIrqs, TRANSFER_BYTES_MAX, Version,
};
use crate::card::Reset;
use crate::dma::{MapError, Mapping, REGIONS_MAX};
use crate::function::{Function, IrqSet, IrqSetError, OutsideError};
use crate::layout::CONFIG_BYTES;

/// Where the region of an index is in a client's address space of regions: the kernel's convention.
const REGION_SHIFT: u32 = 40;

/// Why a message is answered with an error.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("command {0} is not known")]
    Unknown(u16),
    #[error("{0:?} is not supported")]
    Unsupported(Command),
    #[error("the message is shorter than its structure")]
    Short,
    #[error("VERSION must come first, and once")]
    Order,
    #[error("version {0} of the protocol is not supported; this is version 0")]
    Version(u16),
    #[error("the capabilities are no JSON object with an end: {0}")]
    Capabilities(String),
    #[error("there is no region or interrupt {0}")]
    Index(u32),
    #[error("{0} descriptors come with a message that takes one at most")]
    Fds(usize),
    #[error("a transfer of {0} bytes; at most {TRANSFER_BYTES_MAX}, and at least 1")]
    Transfer(u32),
    #[error("dirty pages are not tracked")]
    DirtyPages,
    #[error("{0}")]
    Outside(#[from] OutsideError),
    #[error("{0}")]
    Map(#[from] MapError),
    #[error("{0}")]
    IrqSet(#[from] IrqSetError),
}

impl RequestError {
    /// Returns the error number of the reply.
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::Unknown(_) | Self::Unsupported(_) | Self::DirtyPages => Errno::OPNOTSUPP,
            Self::Map(MapError::Overlap { .. }) => Errno::EXIST,
            Self::Map(MapError::TooMany) => Errno::NOSPC,
            Self::Map(MapError::NoRegion { .. }) => Errno::NOENT,
            _ => Errno::INVAL,
        }
    }
}

/// Takes a structure off a payload.
fn take<T: zerocopy::FromBytes>(payload: &[u8]) -> Result<(T, &[u8]), RequestError> {
    parse(payload).ok_or(RequestError::Short)
}

/// What of a client is known while it is connected.
#[derive(Debug, Default)]
pub(super) struct Client {
    greeted: bool,
}

impl Client {
    /// Carries out a message, and returns what its reply holds after the header.
    ///
    /// # Errors
    /// [`RequestError`]: the reply is an error, and the connection goes on.
    pub(super) fn carry_out(&mut self, function: &Function, message: Message) -> Result<Vec<u8>, RequestError> {
        let number = message.header.command;
        let command = Command::n(number).ok_or(RequestError::Unknown(number))?;
        if self.greeted == matches!(command, Command::Version) {
            return Err(RequestError::Order);
        }
        let payload = &message.payload[..];
        match command {
            Command::Version => {
                let reply = version(payload)?;
                self.greeted = true;
                Ok(reply)
            }
            Command::DmaMap => dma_map(function, message),
            Command::DmaUnmap => dma_unmap(function, payload),
            Command::DeviceGetInfo => {
                take::<DeviceInfo>(payload)?;
                let flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
                let argsz = size_of::<DeviceInfo>() as u32;
                let info = DeviceInfo { argsz, flags, regions: VFIO_PCI_NUM_REGIONS, irqs: VFIO_PCI_NUM_IRQS };
                Ok(info.as_bytes().to_vec())
            }
            Command::DeviceGetRegionInfo => region_info(function, payload),
            Command::GetIrqInfo => irq_info(function, payload),
            Command::SetIrqs => {
                let (set, rest) = take::<SetIrqs>(payload)?;
                let SetIrqs { flags, index, start, count, .. } = set;
                let set = IrqSet { index, flags, start, count, flagged: rest.to_vec(), fds: message.fds };
                function.set_irqs(set)?;
                Ok(Vec::new())
            }
            Command::RegionRead => read(function, payload),
            Command::RegionWrite => write(function, payload),
            Command::DeviceReset => {
                function.reset(Reset::Machine);
                Ok(Vec::new())
            }
            Command::Unknown
            | Command::GetRegionIoFds
            | Command::DmaRead
            | Command::DmaWrite
            | Command::UserDirtyPages => Err(RequestError::Unsupported(command)),
        }
    }
}

fn version(payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (version, capabilities) = take::<Version>(payload)?;
    if version.major != 0 {
        return Err(RequestError::Version(version.major));
    }
    let text = capabilities.strip_suffix(b"\0").unwrap_or(capabilities);
    if !text.is_empty() {
        let parsed: Result<serde_json::Map<_, serde_json::Value>, _> = serde_json::from_slice(text);
        parsed.map_err(|error| RequestError::Capabilities(error.to_string()))?;
    }
    let mut reply = Version { major: 0, minor: 0 }.as_bytes().to_vec();
    let capabilities = serde_json::json!({"capabilities": {
        "max_msg_fds": FDS_MAX,
        "max_data_xfer_size": TRANSFER_BYTES_MAX,
        "max_dma_maps": REGIONS_MAX,
        "pgsizes": 4096,
    }});
    reply.extend_from_slice(capabilities.to_string().as_bytes());
    reply.push(0);
    Ok(reply)
}

fn dma_map(function: &Function, message: Message) -> Result<Vec<u8>, RequestError> {
    let (map, _) = take::<DmaMap>(&message.payload)?;
    if message.fds.len() > 1 {
        return Err(RequestError::Fds(message.fds.len()));
    }
    let flags = DmaMapFlags::from_bits_truncate(map.flags);
    let file = message.fds.into_iter().next().map(|fd| (File::from(fd), map.offset));
    function.shared.memory.map(Mapping {
        address: map.address,
        bytes: map.bytes,
        readable: flags.contains(DmaMapFlags::READ),
        writable: flags.contains(DmaMapFlags::WRITE),
        file,
    })?;
    Ok(Vec::new())
}

fn dma_unmap(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (unmap, _) = take::<DmaUnmap>(payload)?;
    let flags = DmaUnmapFlags::from_bits_truncate(unmap.flags);
    if flags.contains(DmaUnmapFlags::GET_DIRTY_PAGE_INFO) {
        return Err(RequestError::DirtyPages);
    }
    if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
        function.shared.memory.clear();
    } else {
        function.shared.memory.unmap(unmap.address, unmap.bytes)?;
    }
    Ok(unmap.as_bytes().to_vec())
}

fn region_info(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (RegionInfo { index, .. }, _) = take::<RegionInfo>(payload)?;
    let bytes = match index {
        0..=VFIO_PCI_BAR5_REGION_INDEX => function.bar_bytes(index as usize),
        VFIO_PCI_CONFIG_REGION_INDEX => CONFIG_BYTES as u64,
        // No expansion ROM and no VGA.
        index if index < VFIO_PCI_NUM_REGIONS => 0,
        _ => return Err(RequestError::Index(index)),
    };
    let flags = if bytes > 0 { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE } else { 0 };
    let offset = u64::from(index) << REGION_SHIFT;
    let info = RegionInfo { argsz: size_of::<RegionInfo>() as u32, flags, index, capabilities: 0, bytes, offset };
    Ok(info.as_bytes().to_vec())
}

fn irq_info(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (IrqInfo { index, .. }, _) = take::<IrqInfo>(payload)?;
    let description = &function.shared.description;
    let (flags, count) = match index {
        VFIO_PCI_INTX_IRQ_INDEX => {
            (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED, u32::from(description.pin))
        }
        VFIO_PCI_MSIX_IRQ_INDEX => {
            let vectors = description.msix.map_or(0, |msix| u32::from(msix.vectors));
            (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_NORESIZE, vectors)
        }
        // QEMU warns where a device cannot tell it of bus errors. This one can, and never has any.
        VFIO_PCI_ERR_IRQ_INDEX => (VFIO_IRQ_INFO_EVENTFD, 1),
        index if index < VFIO_PCI_NUM_IRQS => (0, 0),
        _ => return Err(RequestError::Index(index)),
    };
    let info = IrqInfo { argsz: size_of::<IrqInfo>() as u32, flags, index, count };
    Ok(info.as_bytes().to_vec())
}

/// Checks a transfer's length before anything is allocated for it.
fn transfer(access: &RegionAccess) -> Result<usize, RequestError> {
    let count = access.count as usize;
    if (1..=TRANSFER_BYTES_MAX).contains(&count) { Ok(count) } else { Err(RequestError::Transfer(access.count)) }
}

fn read(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (access, _) = take::<RegionAccess>(payload)?;
    let mut data = vec![0; transfer(&access)?];
    match access.region {
        0..=VFIO_PCI_BAR5_REGION_INDEX => function.read_bar(access.region as usize, access.offset, &mut data)?,
        VFIO_PCI_CONFIG_REGION_INDEX => function.read_config(access.offset, &mut data),
        region => return Err(RequestError::Index(region)),
    }
    let mut reply = access.as_bytes().to_vec();
    reply.append(&mut data);
    Ok(reply)
}

fn write(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (access, data) = take::<RegionAccess>(payload)?;
    let data = data.get(..transfer(&access)?).ok_or(RequestError::Short)?;
    match access.region {
        0..=VFIO_PCI_BAR5_REGION_INDEX => function.write_bar(access.region as usize, access.offset, data)?,
        VFIO_PCI_CONFIG_REGION_INDEX => function.write_config(access.offset, data),
        region => return Err(RequestError::Index(region)),
    }
    Ok(access.as_bytes().to_vec())
}
