//! Carries out a client's messages.

use std::fs::File;

use rustix::io::Errno;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD,
    VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE, VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_PCI_ROM_REGION_INDEX, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
    VFIO_REGION_INFO_FLAG_CAPS, VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{Command, DmaMapFlags, DmaUnmapFlags};
use zerocopy::IntoBytes;

use super::connection::{Message, parse};
use super::messages::{
    DeviceInfo, DmaMap, DmaUnmap, FDS_MAX, IrqInfo, RegionAccess, RegionInfo, SetIrqs, SparseArea, SparseMmap,
    TRANSFER_BYTES_MAX, Version,
};
use crate::card::Reset;
use crate::dma::{MapError, Mapping, REGIONS_MAX};
use crate::function::{Function, IrqSet, IrqSetError};
use crate::mapped::Mapped;

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

/// What a reply holds after its header.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) payload: Vec<u8>,
    /// A file that the client is to map.
    pub(super) file: Option<File>,
}

impl From<Vec<u8>> for Reply {
    fn from(payload: Vec<u8>) -> Self {
        Self { payload, file: None }
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
    pub(super) fn carry_out(&mut self, function: &Function, message: Message) -> Result<Reply, RequestError> {
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
                Ok(reply.into())
            }
            Command::DmaMap => dma_map(function, message).map(Reply::from),
            Command::DmaUnmap => dma_unmap(function, payload).map(Reply::from),
            Command::DeviceGetInfo => {
                take::<DeviceInfo>(payload)?;
                let flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
                let argsz = size_of::<DeviceInfo>() as u32;
                let info = DeviceInfo { argsz, flags, regions: VFIO_PCI_NUM_REGIONS, irqs: VFIO_PCI_NUM_IRQS };
                Ok(info.as_bytes().to_vec().into())
            }
            Command::DeviceGetRegionInfo => region_info(function, payload),
            Command::GetIrqInfo => irq_info(function, payload).map(Reply::from),
            Command::SetIrqs => {
                let (set, rest) = take::<SetIrqs>(payload)?;
                let SetIrqs { flags, index, start, count, .. } = set;
                let set = IrqSet { index, flags, start, count, flagged: rest.to_vec(), fds: message.fds };
                function.set_irqs(set)?;
                Ok(Reply::default())
            }
            Command::RegionRead => read(function, payload).map(Reply::from),
            Command::RegionWrite => write(function, payload).map(Reply::from),
            Command::DeviceReset => {
                function.reset(Reset::Machine);
                Ok(Reply::default())
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
    function.map_memory(Mapping {
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
        function.unmap_all_memory();
    } else {
        function.unmap_memory(unmap.address, unmap.bytes)?;
    }
    Ok(unmap.as_bytes().to_vec())
}

fn region_info(function: &Function, payload: &[u8]) -> Result<Reply, RequestError> {
    let (RegionInfo { argsz: room, index, .. }, _) = take::<RegionInfo>(payload)?;
    let description = &function.shared.description;
    let (bytes, access) = match index {
        0..=VFIO_PCI_BAR5_REGION_INDEX => (function.bar_bytes(index as usize), VFIO_REGION_INFO_FLAG_WRITE),
        VFIO_PCI_CONFIG_REGION_INDEX => (description.config_bytes() as u64, VFIO_REGION_INFO_FLAG_WRITE),
        VFIO_PCI_ROM_REGION_INDEX => (description.rom_bytes() as u64, 0),
        // No VGA.
        index if index < VFIO_PCI_NUM_REGIONS => (0, 0),
        _ => return Err(RequestError::Index(index)),
    };
    let flags = if bytes > 0 { VFIO_REGION_INFO_FLAG_READ | access } else { 0 };
    let offset = u64::from(index) << REGION_SHIFT;
    let short = size_of::<RegionInfo>() as u32;
    let mut info = RegionInfo { argsz: short, flags, index, capabilities: 0, bytes, offset };
    let Some(pages) = function.shared.mapped.get(index as usize).and_then(Option::as_ref) else {
        return Ok(info.as_bytes().to_vec().into());
    };
    let areas = sparse_areas(pages);
    info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
    info.argsz += areas.len() as u32;
    // The offset is that in the file, which is given with the reply.
    info.offset = 0;
    if room < info.argsz {
        // The client asks again, with room for everything.
        return Ok(info.as_bytes().to_vec().into());
    }
    info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
    info.capabilities = short;
    let payload = [info.as_bytes(), &areas].concat();
    // A host without a descriptor left: the guest's accesses then come as messages, which works as well.
    let file = pages.file().and_then(|file| file.try_clone().ok());
    Ok(Reply { payload, file })
}

/// Returns the sparse-mmap capability for pages that a client can map.
fn sparse_areas(pages: &Mapped) -> Vec<u8> {
    let ranges = pages.ranges();
    let id = VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16;
    let head = SparseMmap { id, version: 1, next: 0, areas: ranges.len() as u32, reserved: 0 };
    let areas = ranges.iter().map(|range| SparseArea { offset: range.start, bytes: range.end - range.start });
    let mut bytes = head.as_bytes().to_vec();
    areas.for_each(|area| bytes.extend_from_slice(area.as_bytes()));
    bytes
}

fn irq_info(function: &Function, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
    let (IrqInfo { index, .. }, _) = take::<IrqInfo>(payload)?;
    let description = &function.shared.description;
    let (flags, count) = match index {
        VFIO_PCI_INTX_IRQ_INDEX => {
            (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED, u32::from(description.pin))
        }
        VFIO_PCI_MSI_IRQ_INDEX | VFIO_PCI_MSIX_IRQ_INDEX => {
            let msi = index == VFIO_PCI_MSI_IRQ_INDEX;
            let vectors =
                if msi { description.msi.map(|msi| msi.vectors) } else { description.msix.map(|msix| msix.vectors) };
            let vectors = u32::from(vectors.unwrap_or(0));
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
        0..=VFIO_PCI_BAR5_REGION_INDEX => function.read_bar(access.region as usize, access.offset, &mut data),
        VFIO_PCI_CONFIG_REGION_INDEX => function.read_config(access.offset, &mut data),
        VFIO_PCI_ROM_REGION_INDEX => function.read_rom(access.offset, &mut data),
        region if region < VFIO_PCI_NUM_REGIONS => data.fill(0xff),
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
        0..=VFIO_PCI_BAR5_REGION_INDEX => function.write_bar(access.region as usize, access.offset, data),
        VFIO_PCI_CONFIG_REGION_INDEX => function.write_config(access.offset, data),
        // A ROM is read only, and there is no VGA.
        region if region < VFIO_PCI_NUM_REGIONS => {}
        region => return Err(RequestError::Index(region)),
    }
    Ok(access.as_bytes().to_vec())
}
