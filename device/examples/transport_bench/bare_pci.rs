//! A server of crate `vfio_user` that answers the request of the measurement and does nothing else: what the card is measured
//! against over vfio-user.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use card_spec::identity::{IdentityBlock, MAGIC};
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::QUEUE_COUNT;
use card_spec::registers::{BAR_BYTES, COMMON, DEVICE, FILE, NOTIFY, NOTIFY_BYTES, NOTIFY_MULTIPLIER, common, file};
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};

use super::answer::answer;
use super::client::{CAPABILITIES, MSIX_CAPABILITY, MSIX_ID};

/// Bytes of configuration space.
const CONFIG_BYTES: usize = 256;

/// A function whose registers hold what is written to them, with queues.
struct Bare {
    bar: Vec<u8>,
    config: Vec<u8>,
    memory: Option<GuestMemoryMmap>,
    queues: Vec<Queue>,
    /// By vector.
    triggers: Vec<File>,
}

impl Bare {
    fn new() -> Result<Self, virtio_queue::Error> {
        let mut bar = vec![0; BAR_BYTES as usize];
        let mut config = vec![0; CONFIG_BYTES];
        for area in [DEVICE, FILE + file::IDENT] {
            bar[area as usize..][..MAGIC.len()].copy_from_slice(&MAGIC);
        }
        config[CAPABILITIES as usize] = MSIX_CAPABILITY;
        config[usize::from(MSIX_CAPABILITY)] = MSIX_ID;
        let queues = (0..QUEUE_COUNT).map(|_| Queue::new(QUEUE_SIZE_MAX)).collect::<Result<_, _>>()?;
        Ok(Self { bar, config, memory: None, queues, triggers: Vec::new() })
    }

    fn number(&self, register: u32, bytes: usize) -> u64 {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(&self.bar[(COMMON + register) as usize..][..bytes]);
        u64::from_le_bytes(number)
    }

    /// Takes over the ring that the registers describe.
    fn enable(&mut self) {
        let (size, select) = (self.number(common::QUEUE_SIZE, 2) as u16, self.number(common::QUEUE_SELECT, 2));
        let part = |register| GuestAddress(self.number(register, 8));
        let parts = [part(common::QUEUE_DESC), part(common::QUEUE_DRIVER), part(common::QUEUE_DEVICE)];
        let queue = &mut self.queues[select as usize];
        queue.set_size(size);
        let halves = |address: GuestAddress| (Some(address.0 as u32), Some((address.0 >> 32) as u32));
        let (low, high) = halves(parts[0]);
        queue.set_desc_table_address(low, high);
        let (low, high) = halves(parts[1]);
        queue.set_avail_ring_address(low, high);
        let (low, high) = halves(parts[2]);
        queue.set_used_ring_address(low, high);
        queue.set_event_idx(true);
        queue.set_ready(true);
    }

    fn serve(&mut self, index: usize) -> io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let queue = &mut self.queues[index];
        loop {
            queue.disable_notification(memory).map_err(io::Error::other)?;
            let chains: Vec<_> = queue.iter(memory).map_err(io::Error::other)?.collect();
            for chain in chains {
                let head = chain.head_index();
                let written = answer(memory, chain)?;
                queue.add_used(memory, head, written).map_err(io::Error::other)?;
                if queue.needs_notification(memory).map_err(io::Error::other)?
                    && let Some(mut trigger) = self.triggers.get(index)
                {
                    trigger.write_all(&1_u64.to_ne_bytes())?;
                }
            }
            if !queue.enable_notification(memory).map_err(io::Error::other)? {
                return Ok(());
            }
        }
    }

    fn place(&mut self, region: u32, offset: u64, bytes: usize) -> io::Result<&mut [u8]> {
        let space = if region == VFIO_PCI_CONFIG_REGION_INDEX { &mut self.config } else { &mut self.bar };
        let range = offset as usize..offset as usize + bytes;
        space.get_mut(range).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl ServerBackend for Bare {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.copy_from_slice(self.place(region, offset, data.len())?);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let doorbell = (offset as u32).checked_sub(NOTIFY).filter(|at| region == 0 && *at < NOTIFY_BYTES);
        if let Some(at) = doorbell {
            return self.serve((at / NOTIFY_MULTIPLIER) as usize);
        }
        self.place(region, offset, data.len())?.copy_from_slice(data);
        if region == 0 && offset == u64::from(COMMON + common::QUEUE_ENABLE) {
            self.enable();
        }
        Ok(())
    }

    fn dma_map(&mut self, _: DmaMapFlags, offset: u64, address: u64, size: u64, fd: Option<File>) -> io::Result<()> {
        let file = fd.map(|file| FileOffset::new(file, offset));
        let range = (GuestAddress(address), size as usize, file);
        self.memory = Some(GuestMemoryMmap::from_ranges_with_files([range]).map_err(io::Error::other)?);
        Ok(())
    }

    fn dma_unmap(&mut self, _: DmaUnmapFlags, _address: u64, _size: u64) -> io::Result<()> {
        self.memory = None;
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_irqs(&mut self, index: u32, _flags: u32, _start: u32, _count: u32, fds: Vec<File>) -> io::Result<()> {
        if index == VFIO_PCI_MSIX_IRQ_INDEX {
            self.triggers = fds;
        }
        Ok(())
    }
}

/// Serves one client on a path.
pub(crate) fn serve(path: &Path) -> Result<(), Box<dyn Error>> {
    debug_assert!(DEVICE as usize + size_of::<IdentityBlock>() <= BAR_BYTES as usize);
    let irqs = (0..VFIO_PCI_NUM_IRQS).map(|index| IrqInfo { index, flags: 0, count: QUEUE_COUNT as u32 });
    let regions = (0..VFIO_PCI_NUM_REGIONS).map(|index| ServerRegion {
        region_info: vfio_region_info { index, ..Default::default() },
        sparse_areas: Vec::new(),
        mmap_fd: None,
    });
    let server = Server::new(path, true, irqs.collect(), regions.collect())?;
    server.run(&mut Bare::new()?)?;
    Ok(())
}
