//! The interrupt line, the MSI and the MSI-X vectors of a function, and how they reach the machine: by eventfds.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Bytes of an MSI-X table entry: address, upper address, data, control.
const ENTRY_BYTES: usize = 16;
/// Where the control word of an entry is.
const ENTRY_CONTROL: usize = 12;
/// The mask bit of the control word.
const ENTRY_MASKED: u8 = 1;

/// What configuration space lets a function do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// The line may be driven: it is not disabled, and no messages are enabled in its place.
    pub(super) line: bool,
    /// MSI-X messages may be sent: they are enabled, the function not masked, and bus mastering on.
    pub(super) msix: bool,
    /// The MSI vectors whose messages may be sent, a bit each: they are enabled and not masked, and bus mastering is on.
    pub(super) msi: u32,
}

/// The two kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messages {
    Msi,
    Msix,
}

/// The interrupt line. The client masks it with each interrupt, and unmasks it when the guest has handled it.
#[derive(Debug, Default)]
struct Line {
    level: bool,
    masked: bool,
    /// It is masked because it was signalled, and the client has not unmasked it since.
    signalled: bool,
    /// How often it was signalled since it was asserted.
    repeats: u32,
    trigger: Option<OwnedFd>,
    /// The client may unmask by this eventfd.
    unmask: Option<Arc<OwnedFd>>,
}

/// A vector. One of MSI has no table entry.
#[derive(Debug)]
struct Vector {
    trigger: Option<OwnedFd>,
    /// The client has masked it by `SET_IRQS`.
    masked: bool,
    pending: bool,
    entry: [u8; ENTRY_BYTES],
    /// The client has written the table entry, so its mask bit counts. QEMU keeps the table to itself, and never does.
    entry_counts: bool,
}

impl Default for Vector {
    fn default() -> Self {
        let mut entry = [0; ENTRY_BYTES];
        entry[ENTRY_CONTROL] = ENTRY_MASKED;
        Self { trigger: None, masked: false, pending: false, entry, entry_counts: false }
    }
}

impl Vector {
    fn open(&self) -> bool {
        let by_entry = self.entry_counts && self.entry[ENTRY_CONTROL] & ENTRY_MASKED != 0;
        !self.masked && !by_entry
    }
}

/// How often interrupts were raised and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The card has asserted its line, or sent a message.
    pub(crate) raised: u64,
    /// The machine was signalled.
    pub(crate) sent: u64,
    /// The client's eventfd did not take the signal.
    pub(crate) refused: u64,
}

/// A function's interrupts.
#[derive(Debug)]
pub(super) struct Interrupts {
    line: Line,
    msi: Vec<Vector>,
    msix: Vec<Vector>,
    counts: Counts,
}

impl Interrupts {
    /// Makes a line and this many vectors of each kind, as after power-on.
    pub(super) fn new(msi: u16, msix: u16) -> Self {
        let vectors = |count: u16| std::iter::repeat_with(Vector::default).take(count.into()).collect();
        Self { line: Line::default(), msi: vectors(msi), msix: vectors(msix), counts: Counts::default() }
    }

    /// Returns the vectors of a kind.
    fn of(&mut self, kind: Messages) -> &mut Vec<Vector> {
        match kind {
            Messages::Msi => &mut self.msi,
            Messages::Msix => &mut self.msix,
        }
    }

    /// Returns to the state after power-on. The client's eventfds stay: they belong to the machine.
    pub(super) fn reset(&mut self) {
        self.set_level(false);
        (self.line.masked, self.line.signalled) = (false, false);
        for vector in self.msi.iter_mut().chain(&mut self.msix) {
            *vector = Vector { trigger: vector.trigger.take(), ..Vector::default() };
        }
    }

    /// Forgets the client's eventfds and masks.
    pub(super) fn disconnect(&mut self) {
        self.line = Line { level: self.line.level, ..Line::default() };
        for vector in self.msi.iter_mut().chain(&mut self.msix) {
            (vector.trigger, vector.masked) = (None, false);
        }
    }

    /// Returns the state of the line.
    pub(super) const fn level(&self) -> bool {
        self.line.level
    }

    /// Returns how often the line was signalled since it was last asserted.
    pub(super) const fn repeats(&self) -> u32 {
        self.line.repeats
    }

    /// Returns how often interrupts were raised and sent.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Asserts or deasserts the line.
    ///
    /// A level has no way back over an eventfd. QEMU takes a signal when its main loop gets to it, and a driver whose access
    /// to the card holds that loop up may handle the interrupt in it: the signal would then interrupt it for nothing. So a
    /// signal that the client has not taken is taken back, and the line is as if it had not been signalled. One that it has
    /// taken is handled by this very access: QEMU lowers the guest's line after each access to a BAR.
    pub(super) fn set_level(&mut self, level: bool) {
        self.counts.raised += u64::from(level && !self.line.level);
        let line = &mut self.line;
        line.level = level;
        if !level {
            line.repeats = 0;
        }
        if !level && line.signalled && line.trigger.as_ref().is_some_and(take_back) {
            (line.masked, line.signalled) = (false, false);
            self.counts.sent -= 1;
        }
    }

    /// Makes a vector pending. False when there is no such vector.
    pub(super) fn set_pending(&mut self, kind: Messages, vector: u16) -> bool {
        let found = self.of(kind).get_mut(usize::from(vector)).map(|vector| vector.pending = true).is_some();
        self.counts.raised += u64::from(found);
        found
    }

    /// Sends what is due and allowed.
    pub(super) fn deliver(&mut self, permit: Permit) {
        let line = &mut self.line;
        if permit.line && line.level && !line.masked && line.trigger.is_some() {
            (line.masked, line.signalled) = (true, self.counts.signal(line.trigger.as_ref()));
            line.repeats = line.repeats.saturating_add(1);
        }
        let msi =
            self.msi.iter_mut().enumerate().filter(|(index, _)| permit.msi >> index & 1 != 0).map(|(_, vector)| vector);
        let msix = self.msix.iter_mut().filter(|_| permit.msix);
        for vector in msi.chain(msix).filter(|vector| vector.pending && vector.trigger.is_some() && vector.open()) {
            vector.pending = false;
            self.counts.signal(vector.trigger.as_ref());
        }
    }

    /// Returns the MSI vectors that are pending, a bit each.
    pub(super) fn msi_pending(&self) -> u32 {
        let bits = self.msi.iter().enumerate();
        bits.fold(0, |word, (index, vector)| word | u32::from(vector.pending) << index)
    }

    /// Takes over the line's eventfd, or gives it back.
    pub(super) fn set_line_trigger(&mut self, trigger: Option<OwnedFd>) {
        (self.line.masked, self.line.signalled) = (false, false);
        self.line.trigger = trigger;
    }

    /// Takes over the eventfd by which the client unmasks the line, or gives it back.
    pub(super) fn set_line_unmask(&mut self, unmask: Option<OwnedFd>) {
        self.line.unmask = unmask.map(Arc::new);
    }

    /// Returns the eventfd by which the client unmasks the line.
    pub(super) fn line_unmask(&self) -> Option<Arc<OwnedFd>> {
        self.line.unmask.clone()
    }

    /// Masks the line, or unmasks it.
    pub(super) fn mask_line(&mut self, masked: bool) {
        (self.line.masked, self.line.signalled) = (masked, false);
    }

    /// Signals the line's eventfd as if the line had been asserted.
    pub(super) fn test_line(&mut self) {
        self.counts.signal(self.line.trigger.as_ref());
    }

    /// Returns how many vectors of a kind there are.
    pub(super) fn vectors(&self, kind: Messages) -> usize {
        match kind {
            Messages::Msi => self.msi.len(),
            Messages::Msix => self.msix.len(),
        }
    }

    /// Takes over a vector's eventfd, or gives it back.
    pub(super) fn set_trigger(&mut self, kind: Messages, vector: usize, trigger: Option<OwnedFd>) {
        if let Some(vector) = self.of(kind).get_mut(vector) {
            vector.trigger = trigger;
        }
    }

    /// Masks a vector for the client, or unmasks it.
    pub(super) fn mask(&mut self, kind: Messages, vector: usize, masked: bool) {
        if let Some(vector) = self.of(kind).get_mut(vector) {
            vector.masked = masked;
        }
    }

    /// Signals a vector's eventfd as if the card had sent its message.
    pub(super) fn test(&mut self, kind: Messages, vector: usize) {
        let vectors = match kind {
            Messages::Msi => &self.msi,
            Messages::Msix => &self.msix,
        };
        if let Some(vector) = vectors.get(vector) {
            self.counts.signal(vector.trigger.as_ref());
        }
    }

    /// Reads from the MSI-X table.
    pub(super) fn read_table(&self, offset: usize, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            let vector = self.msix.get(offset / ENTRY_BYTES);
            *byte = vector.map_or(0xff, |vector| vector.entry[offset % ENTRY_BYTES]);
        }
    }

    /// Writes to the MSI-X table.
    pub(super) fn write_table(&mut self, offset: usize, data: &[u8]) {
        for (offset, byte) in (offset..).zip(data) {
            let Some(vector) = self.msix.get_mut(offset / ENTRY_BYTES) else { return };
            vector.entry_counts = true;
            // Of the control word, only the mask bit is there.
            let writable = match offset % ENTRY_BYTES {
                0..ENTRY_CONTROL => 0xff,
                ENTRY_CONTROL => ENTRY_MASKED,
                _ => 0,
            };
            vector.entry[offset % ENTRY_BYTES] = byte & writable;
        }
    }

    /// Reads pending bits.
    pub(super) fn read_pending(&self, offset: usize, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            let bits = self.msix.iter().skip(8 * offset).take(8).enumerate();
            *byte = bits.fold(0, |byte, (bit, vector)| byte | u8::from(vector.pending) << bit);
        }
    }
}

impl Counts {
    /// Signals an eventfd. False when there is none, or it does not take the signal.
    fn signal(&mut self, trigger: Option<&OwnedFd>) -> bool {
        let Some(fd) = trigger else { return false };
        let signalled = rustix::io::write(fd, &1u64.to_ne_bytes()) == Ok(size_of::<u64>());
        if signalled {
            self.sent += 1;
        } else {
            self.refused += 1;
        }
        signalled
    }
}

/// Makes sure that neither a signal nor its absence can hold the card: the client may have sent any descriptor. Its own
/// calls on the same eventfd do not block any more either; virtual machines have theirs so anyway.
pub(super) fn never_blocking(fd: OwnedFd) -> OwnedFd {
    // What cannot be changed, such as a file on a disk, does not block.
    let _ = rustix::io::ioctl_fionbio(&fd, true);
    fd
}

/// Takes the signals of an eventfd back, without waiting whatever flags the client has set. False when the client has taken
/// them, and before Linux 5.8.
fn take_back(fd: &OwnedFd) -> bool {
    let mut value = [0; size_of::<u64>()];
    // At the current position, which an eventfd does not have.
    let taken = preadv2(fd, &mut [IoSliceMut::new(&mut value)], u64::MAX, ReadWriteFlags::NOWAIT);
    taken == Ok(size_of::<u64>()) && value != [0; 8]
}

/// Takes the signals of an eventfd. False when it is none, and would be ready for ever.
pub(crate) fn drain(fd: &OwnedFd) -> bool {
    let mut value = [0; size_of::<u64>()];
    match rustix::io::read(fd, &mut value) {
        Ok(bytes) => bytes == value.len() && value != [0; 8],
        // The client may have taken the signal itself.
        Err(error) => matches!(error, Errno::AGAIN | Errno::INTR),
    }
}
