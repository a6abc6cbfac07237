//! Requests about guest memory.

use std::os::fd::AsFd;

use vhost::vhost_user::message::{FrontendReq, VhostUserMemory, VhostUserMemoryRegion, VhostUserSingleMemoryRegion};
use vm_memory::ByteValued;

use super::Session;
use crate::finding::{Fault, Field, Outcome};
use crate::judge::{self, Wrong};
use crate::limits::TABLE_REGIONS_MAX;
use crate::memory::{Region, Table};
use crate::ring::{Kick, State};
use crate::wire::{Gone, Message};

/// How the back-end learns of a new table.
enum Change<'r> {
    /// By the whole table.
    Table,
    /// By a region that is new.
    Added(&'r Region),
    /// By a region that is gone.
    Removed(&'r Region),
}

impl Session<'_> {
    /// SET_MEM_TABLE. Regions that cannot be used are left out; rings in them are found to be outside memory.
    pub(super) fn set_memory(&mut self, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let regions = match judge::memory_table(message) {
            Ok(regions) => regions,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let mut table = Table::default();
        for (description, file) in regions {
            let added =
                Region::new(&description, file).and_then(|region| table.add(region, self.settings.limits.regions));
            if let Err(wrong) = added {
                self.report(message.code, None, wrong, Outcome::Corrected);
            }
        }
        self.change_memory(FrontendReq::SET_MEM_TABLE, table, &Change::Table)?;
        Ok(Ok(()))
    }

    /// ADD_MEM_REG.
    pub(super) fn add_memory(&mut self, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let description = match judge::memory_region(message) {
            Ok(description) => description,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let Some(file) = message.files.pop() else {
            return Ok(Err(Wrong::new(Field::Descriptors, Fault::Mismatch, 1, 0)));
        };
        let mut table = self.memory.clone();
        // A device that is plugged again describes what is known: the new descriptor replaces the old one.
        let replaced = table.remove(&description).is_some();
        let added = Region::new(&description, file)
            .and_then(|region| table.add(region.clone(), self.settings.limits.regions).map(|()| region));
        match added {
            Ok(region) => {
                let change = if replaced { Change::Table } else { Change::Added(&region) };
                self.change_memory(FrontendReq::ADD_MEM_REG, table, &change)?;
                Ok(Ok(()))
            }
            Err(wrong) => Ok(Err(wrong)),
        }
    }

    /// REM_MEM_REG.
    pub(super) fn remove_memory(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        let description = match judge::memory_region(message) {
            Ok(description) => description,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let mut table = self.memory.clone();
        let Some(region) = table.remove(&description) else {
            return Ok(Err(Wrong::new(Field::Region, Fault::Unknown, 0, description.guest_phys_addr)));
        };
        self.change_memory(FrontendReq::REM_MEM_REG, table, &Change::Removed(&region))?;
        Ok(Ok(()))
    }

    /// Replaces the table. Rings that run in what is gone are parked before; those that have moved are started again.
    fn change_memory(&mut self, code: FrontendReq, table: Table, change: &Change<'_>) -> Result<(), Gone> {
        for index in 0..self.rings.len() {
            let Some(ring) = self.rings.get(index).filter(|ring| ring.is_running()) else { continue };
            let layout = ring.layout(index, &table, self.features.unwrap_or(0), self.ring_size);
            match layout {
                Ok((_, parts)) if parts == ring.parts => {}
                Ok(_) => self.stop(index, State::Parked(None))?,
                Err(wrong) => {
                    self.stop(index, State::Parked(None))?;
                    self.park(index, Some(code), wrong);
                }
            }
        }
        self.memory = table;
        let answered = match change {
            Change::Added(region) if self.backend.as_ref().is_some_and(|backend| backend.has_memory) => {
                self.tell_region(FrontendReq::ADD_MEM_REG, region)?
            }
            Change::Removed(region) if self.backend.as_ref().is_some_and(|backend| backend.has_memory) => {
                self.tell_region(FrontendReq::REM_MEM_REG, region)?
            }
            _ => self.give_memory()?,
        };
        if let Some(got @ 1..) = answered {
            let wrong = Wrong::new(Field::Region, Fault::Refused, 0, got);
            self.report(code.into(), None, wrong, Outcome::Relayed);
            if let Some(backend) = &mut self.backend {
                backend.has_memory = false;
            }
        }
        for index in 0..self.rings.len() {
            let waits = |kick: &Kick| !matches!(kick, Kick::None);
            if self.rings.get(index).is_some_and(|ring| !ring.is_running() && waits(&ring.kick)) {
                self.try_start(index, Some(code))?;
            }
        }
        Ok(())
    }

    /// Gives the back-end the whole table. One without regions cannot be given, so that the back-end keeps what it has.
    pub(super) fn give_memory(&mut self) -> Result<Option<u64>, Gone> {
        let regions: Vec<Region> = self.memory.regions().to_vec();
        let (first, rest) = regions.split_at(regions.len().min(TABLE_REGIONS_MAX));
        if let Some(backend) = &mut self.backend {
            backend.has_memory = false;
        }
        if first.is_empty() {
            return Ok(Some(0));
        }
        let mut body = VhostUserMemory::new(first.len() as u32).as_slice().to_vec();
        let mut files = Vec::with_capacity(first.len());
        for region in first {
            body.extend_from_slice(region.describe().as_slice());
            files.push(region.file());
        }
        let mut answered =
            self.with_backend(|backend, patience| backend.tell(patience, FrontendReq::SET_MEM_TABLE, &body, &files))?;
        for region in rest {
            if answered == Some(0) {
                answered = self.tell_region(FrontendReq::ADD_MEM_REG, region)?;
            }
        }
        if let (Some(0), Some(backend)) = (answered, &mut self.backend) {
            backend.has_memory = true;
        }
        Ok(answered)
    }

    fn tell_region(&mut self, code: FrontendReq, region: &Region) -> Result<Option<u64>, Gone> {
        let VhostUserMemoryRegion { guest_phys_addr, memory_size, user_addr, mmap_offset } = region.describe();
        let body = VhostUserSingleMemoryRegion::new(guest_phys_addr, memory_size, user_addr, mmap_offset);
        let file = [region.file.as_fd()];
        let files = if code == FrontendReq::ADD_MEM_REG { file.as_slice() } else { &[] };
        self.with_backend(|backend, patience| backend.tell(patience, code, body.as_slice(), files))
    }
}
