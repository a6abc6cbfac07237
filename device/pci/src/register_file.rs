//! The values of a table's registers, with the behaviour that the table gives them.

use std::sync::Arc;

use crate::card::Access;
use crate::handle::Handle;
use crate::registers::{BitAccess, Register, RegisterTable, RegisterValue};

/// What a write has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The register.
    pub register: Arc<Register>,
    /// What the driver has written.
    pub value: u64,
    /// What the register held before.
    pub before: u64,
    /// What it holds now.
    pub after: u64,
}

impl Written {
    /// Returns the register's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.register.name
    }

    /// Returns the value that the driver has written to a field.
    ///
    /// # Panics
    /// The register has no such field.
    #[must_use]
    pub fn field(&self, name: &str) -> u64 {
        let field = self.register.fields.iter().find(|field| field.name == name);
        field.unwrap_or_else(|| panic!("the register `{}` has no field `{name}`", self.register.name)).of(self.value)
    }
}

/// The registers of a BAR with their values. What a driver does that the table forbids changes nothing and is noted as its
/// error: a write to a register that is only read, a read of one that is only written, a change of reserved bits.
///
/// Each access is logged with its value decoded: `RUST_LOG=vfio_user_card::register_file=trace` shows them.
#[derive(Debug)]
pub struct RegisterFile {
    table: RegisterTable,
    values: Vec<u64>,
    handle: Handle,
}

impl RegisterFile {
    /// Returns the registers of a table as they are after a reset.
    #[must_use]
    pub fn new(table: RegisterTable, handle: Handle) -> Self {
        let values = table.registers().map(|register| register.reset).collect();
        Self { table, values, handle }
    }

    /// Returns the table.
    #[must_use]
    pub const fn table(&self) -> &RegisterTable {
        &self.table
    }

    /// Gives every register the value that it has after a reset.
    pub fn reset(&mut self) {
        self.values = self.table.registers().map(|register| register.reset).collect();
    }

    /// Reads for the driver: bits that are written only are 0, and those that a read clears are cleared. Where no register
    /// is, all bits are 1.
    pub fn read(&mut self, access: Access) -> u64 {
        let Some((index, register)) = self.reached(access, false) else { return u64::MAX };
        let value = self.values[index] & !register.bits(BitAccess::WriteOnly);
        self.values[index] &= !register.bits(BitAccess::ReadToClear);
        if !register.directions().0 {
            self.handle
                .driver_error("write-only-register", &format!("read of {}, which is only written", register.name));
        }
        log::trace!("read {}", register.decode(value));
        value
    }

    /// Writes for the driver, as the table has it. Returns what that has done; `None` where no register is.
    pub fn write(&mut self, access: Access, value: u64) -> Option<Written> {
        let (index, register) = self.reached(access, true)?;
        log::trace!("write {}", register.decode(value));
        let before = self.values[index];
        let plain = register.bits(BitAccess::ReadWrite) | register.bits(BitAccess::WriteOnly);
        let cleared = value & register.bits(BitAccess::WriteOneToClear);
        let set = value & register.bits(BitAccess::WriteOneToSet);
        let after = ((before & !plain) | (value & plain) | set) & !cleared;
        let reserved = (value ^ register.reset) & register.reserved();
        if !register.directions().1 {
            let detail = format!("write of {value:#x} to {}, which is only read", register.name);
            self.handle.driver_error("read-only-register", &detail);
        } else if reserved != 0 {
            let detail = format!("write of {value:#x} to {} changes the reserved bits {reserved:#x}", register.name);
            self.handle.driver_error("reserved-bits", &detail);
        }
        self.values[index] = after;
        Some(Written { register, value, before, after })
    }

    /// Returns the value of a register, or of a field: `"STATUS"`, `"STATUS.DONE"`.
    ///
    /// # Panics
    /// The table has no such register or field.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let (index, bits, low) = self.place(name);
        (self.values[index] & bits) >> low
    }

    /// Sets the value of a register, or of a field, whatever a driver may do to it.
    ///
    /// # Panics
    /// The table has no such register or field, or the value has more bits.
    pub fn set(&mut self, name: &str, value: u64) {
        let (index, bits, low) = self.place(name);
        assert!(value <= bits >> low, "{value:#x} has more bits than `{name}`");
        self.values[index] = (self.values[index] & !bits) | (value << low);
    }

    /// Returns each register with its value, without what a read of it would do, as those of this BAR.
    #[must_use]
    pub fn values(&self, bar: usize) -> Vec<RegisterValue> {
        let value =
            |(index, value): (usize, &u64)| RegisterValue { bar, register: self.table.shared(index), value: *value };
        self.values.iter().enumerate().map(value).collect()
    }

    fn reached(&self, access: Access, write: bool) -> Option<(usize, Arc<Register>)> {
        let index = self.table.index(access.offset, access.width, write)?;
        Some((index, self.table.shared(index)))
    }

    /// Returns where a name's bits are: the register, the bits, and the lowest of them.
    fn place(&self, name: &str) -> (usize, u64, u32) {
        let (register, field) = name.split_once('.').map_or((name, None), |(register, field)| (register, Some(field)));
        let index = self.table.registers().position(|found| found.name == register);
        let found = index.and_then(|index| {
            let register = self.table.shared(index);
            match field {
                None => Some((index, register.mask(), 0)),
                Some(field) => {
                    let field = register.fields.iter().find(|found| found.name == field)?;
                    Some((index, field.mask(), field.low))
                }
            }
        });
        found.unwrap_or_else(|| panic!("the table has no register or field `{name}`"))
    }
}
