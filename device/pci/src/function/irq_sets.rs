//! Carries out `SET_IRQS`: how a client gives eventfds for interrupts, masks and tests them (`linux/vfio.h`,
//! `struct vfio_irq_set`).

use std::ops::Range;
use std::os::fd::OwnedFd;

use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX,
    VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS,
};

use super::interrupts::{Messages, never_blocking};
use super::pci::Pci;
use crate::description::Description;

/// A `SET_IRQS` message.
#[derive(Debug)]
pub(crate) struct IrqSet {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) start: u32,
    pub(crate) count: u32,
    /// One byte an interrupt, with `DATA_BOOL`.
    pub(crate) flagged: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Why a `SET_IRQS` message is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IrqSetError {
    #[error("interrupts {start} to {start}+{count} of index {index} do not exist")]
    Range { index: u32, start: u32, count: u32 },
    #[error("the flags {0:#x} are no combination of one kind of data and one action")]
    Flags(u32),
    #[error("{got} values or descriptors for {count} interrupts")]
    Count { got: usize, count: u32 },
}

/// What is done to each interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Mask,
    Unmask,
    Trigger,
}

impl Pci {
    /// Carries out a `SET_IRQS` message.
    ///
    /// # Errors
    /// [`IrqSetError`], when the message has no meaning for this function; then nothing is changed.
    pub(crate) fn set_irqs(&mut self, set: IrqSet, description: &Description) -> Result<(), IrqSetError> {
        let IrqSet { index, flags, start, count, flagged, fds } = set;
        let fds: Vec<OwnedFd> = fds.into_iter().map(never_blocking).collect();
        let there = match index {
            VFIO_PCI_INTX_IRQ_INDEX => u32::from(description.pin),
            VFIO_PCI_MSI_IRQ_INDEX | VFIO_PCI_MSIX_IRQ_INDEX => self.interrupts.vectors(messages(index)) as u32,
            VFIO_PCI_ERR_IRQ_INDEX => 1,
            _ => 0,
        };
        let outside = IrqSetError::Range { index, start, count };
        let end = start.checked_add(count).filter(|end| *end <= there && index < VFIO_PCI_NUM_IRQS).ok_or(outside)?;
        let action = match flags & !(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD) {
            VFIO_IRQ_SET_ACTION_MASK => Action::Mask,
            VFIO_IRQ_SET_ACTION_UNMASK => Action::Unmask,
            VFIO_IRQ_SET_ACTION_TRIGGER => Action::Trigger,
            _ => return Err(IrqSetError::Flags(flags)),
        };
        if index == VFIO_PCI_ERR_IRQ_INDEX {
            // A bus error is never signalled, so its eventfd is not kept.
            return Ok(());
        }
        let range = start as usize..end as usize;
        match flags & (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD) {
            // Without interrupts it disables the whole index.
            VFIO_IRQ_SET_DATA_NONE if count == 0 && action == Action::Trigger => {
                self.assign(index, 0..there as usize, Vec::new());
            }
            VFIO_IRQ_SET_DATA_NONE => range.for_each(|at| self.act(index, at, action)),
            VFIO_IRQ_SET_DATA_BOOL => {
                if flagged.len() != range.len() {
                    return Err(IrqSetError::Count { got: flagged.len(), count });
                }
                let chosen = range.zip(flagged).filter(|(_, flag)| *flag != 0);
                chosen.for_each(|(at, _)| self.act(index, at, action));
            }
            VFIO_IRQ_SET_DATA_EVENTFD => {
                // Without descriptors it takes them away.
                if !fds.is_empty() && fds.len() != range.len() {
                    return Err(IrqSetError::Count { got: fds.len(), count });
                }
                match action {
                    Action::Trigger => self.assign(index, range, fds),
                    Action::Unmask if index == VFIO_PCI_INTX_IRQ_INDEX => {
                        self.interrupts.set_line_unmask(fds.into_iter().next());
                    }
                    Action::Mask | Action::Unmask => return Err(IrqSetError::Flags(flags)),
                }
            }
            _ => return Err(IrqSetError::Flags(flags)),
        }
        self.deliver();
        Ok(())
    }

    fn assign(&mut self, index: u32, range: Range<usize>, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        for at in range {
            if index == VFIO_PCI_INTX_IRQ_INDEX {
                self.interrupts.set_line_trigger(fds.next());
            } else {
                self.interrupts.set_trigger(messages(index), at, fds.next());
            }
        }
    }

    fn act(&mut self, index: u32, at: usize, action: Action) {
        let interrupts = &mut self.interrupts;
        match (index, action) {
            (VFIO_PCI_INTX_IRQ_INDEX, Action::Trigger) => interrupts.test_line(),
            (VFIO_PCI_INTX_IRQ_INDEX, _) => interrupts.mask_line(action == Action::Mask),
            (_, Action::Trigger) => interrupts.test(messages(index), at),
            (_, _) => interrupts.mask(messages(index), at, action == Action::Mask),
        }
    }
}

/// Returns which messages an index means that is neither the line's nor that of errors.
const fn messages(index: u32) -> Messages {
    if index == VFIO_PCI_MSI_IRQ_INDEX { Messages::Msi } else { Messages::Msix }
}
