//! Share access: which opens of a file exclude each other (`IoCheckShareAccess`).

/// `SHARE_ACCESS`: how many opens there are, and of what kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ShareAccess {
    opens: u32,
    readers: u32,
    writers: u32,
    deleters: u32,
    shared_read: u32,
    shared_write: u32,
    shared_delete: u32,
}

/// `FILE_READ_DATA | FILE_EXECUTE`.
const READ: u32 = 0x1 | 0x20;
/// `FILE_WRITE_DATA | FILE_APPEND_DATA`.
const WRITE: u32 = 0x2 | 0x4;
/// `DELETE`.
const DELETE: u32 = 0x0001_0000;
/// `FILE_SHARE_READ`.
const SHARE_READ: u32 = 1;
/// `FILE_SHARE_WRITE`.
const SHARE_WRITE: u32 = 2;
/// `FILE_SHARE_DELETE`.
const SHARE_DELETE: u32 = 4;

/// What one open wants and allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// It reads or executes.
    pub read: bool,
    /// It writes or appends.
    pub write: bool,
    /// It deletes.
    pub delete: bool,
    /// Others may read.
    pub share_read: bool,
    /// Others may write.
    pub share_write: bool,
    /// Others may delete.
    pub share_delete: bool,
}

impl Open {
    /// Reads an access mask and a share mode.
    #[must_use]
    pub const fn new(access: u32, share: u32) -> Self {
        Self {
            read: access & READ != 0,
            write: access & WRITE != 0,
            delete: access & DELETE != 0,
            share_read: share & SHARE_READ != 0,
            share_write: share & SHARE_WRITE != 0,
            share_delete: share & SHARE_DELETE != 0,
        }
    }

    /// Returns whether it counts: an open that wants no data excludes nothing.
    #[must_use]
    pub const fn counts(self) -> bool {
        self.read || self.write || self.delete
    }
}

impl ShareAccess {
    /// Returns whether another open can stand beside those that there are.
    #[must_use]
    pub const fn admits(&self, open: Open) -> bool {
        !open.counts()
            || ((!open.read || self.shared_read == self.opens)
                && (!open.write || self.shared_write == self.opens)
                && (!open.delete || self.shared_delete == self.opens)
                && (open.share_read || self.readers == 0)
                && (open.share_write || self.writers == 0)
                && (open.share_delete || self.deleters == 0))
    }

    /// Counts an open in or out.
    pub fn count(&mut self, open: Open, change: impl Fn(u32) -> u32) {
        if !open.counts() {
            return;
        }
        self.opens = change(self.opens);
        for (has, counter) in [
            (open.read, &mut self.readers),
            (open.write, &mut self.writers),
            (open.delete, &mut self.deleters),
            (open.share_read, &mut self.shared_read),
            (open.share_write, &mut self.shared_write),
            (open.share_delete, &mut self.shared_delete),
        ] {
            if has {
                *counter = change(*counter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_excludes_readers_that_do_not_share_writing() {
        let mut all = ShareAccess::default();
        let writer = Open::new(WRITE, SHARE_READ | SHARE_WRITE);
        assert!(all.admits(writer));
        all.count(writer, |count| count.wrapping_add(1));
        assert!(!all.admits(Open::new(READ, SHARE_READ)));
        assert!(all.admits(Open::new(READ, SHARE_READ | SHARE_WRITE)));
        assert!(!all.admits(Open::new(DELETE, SHARE_READ | SHARE_WRITE)));
        all.count(writer, |count| count.wrapping_sub(1));
        assert_eq!(all, ShareAccess::default());
    }

    #[test]
    fn an_open_that_wants_no_data_excludes_nothing() {
        let mut all = ShareAccess::default();
        all.count(Open::new(READ, 0), |count| count.wrapping_add(1));
        assert!(all.admits(Open::new(0, 0)));
        all.count(Open::new(0, 0), |count| count.wrapping_add(1));
        assert_eq!(all.opens, 1);
    }
}
