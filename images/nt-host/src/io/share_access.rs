//! Share access of file objects.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use crate::base::share_access::{Open, ShareAccess};
use crate::export_functions;
use crate::nt::status::{STATUS_SHARING_VIOLATION, STATUS_SUCCESS};
use crate::nt::{FILE_OBJECT, NTSTATUS};

/// Reads what a file's open wants and allows.
unsafe fn open_of(file: *const FILE_OBJECT) -> Open {
    // SAFETY: an export's argument.
    let file = unsafe { &*file };
    Open {
        read: file.ReadAccess != 0,
        write: file.WriteAccess != 0,
        delete: file.DeleteAccess != 0,
        share_read: file.SharedRead != 0,
        share_write: file.SharedWrite != 0,
        share_delete: file.SharedDelete != 0,
    }
}

/// Writes it into the file object.
unsafe fn store(open: Open, file: *mut FILE_OBJECT) {
    // SAFETY: an export's argument.
    unsafe {
        (*file).ReadAccess = open.read.into();
        (*file).WriteAccess = open.write.into();
        (*file).DeleteAccess = open.delete.into();
        if open.counts() {
            (*file).SharedRead = open.share_read.into();
            (*file).SharedWrite = open.share_write.into();
            (*file).SharedDelete = open.share_delete.into();
        }
    }
}

export_functions! {
    /// Share access.
    pub static EXPORTS;

    /// Checks whether an open can stand beside those that there are, and counts it if asked to.
    [PASSIVE] fn IoCheckShareAccess(access: u32, share: u32, file: *mut FILE_OBJECT, all: *mut ShareAccess, update: u8) -> NTSTATUS {
        let open = Open::new(access, share);
        store(open, file);
        if !(*all).admits(open) { return STATUS_SHARING_VIOLATION }
        if update != 0 { (*all).count(open, |count| count.wrapping_add(1)) }
        STATUS_SUCCESS
    }

    /// Makes an open the first one.
    [PASSIVE] fn IoSetShareAccess(access: u32, share: u32, file: *mut FILE_OBJECT, all: *mut ShareAccess) {
        let open = Open::new(access, share);
        store(open, file);
        *all = ShareAccess::default();
        (*all).count(open, |count| count.wrapping_add(1));
    }

    /// Counts an open that was checked before.
    [PASSIVE] fn IoUpdateShareAccess(file: *mut FILE_OBJECT, all: *mut ShareAccess) {
        (*all).count(open_of(file), |count| count.wrapping_add(1));
    }

    /// Takes an open out that is closed.
    [PASSIVE] fn IoRemoveShareAccess(file: *mut FILE_OBJECT, all: *mut ShareAccess) {
        (*all).count(open_of(file), |count| count.wrapping_sub(1));
    }
}
