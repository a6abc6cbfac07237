//! What the driver under test is linked against: this guest's kernel and its PortCls.

use crate::nt::{DRIVER_OBJECT, NTSTATUS};
use crate::pe::Import;
use crate::pnp::Libraries;
use crate::{exports, portcls};

/// The libraries of every driver that the agent loads.
pub(super) const LIBRARIES: Libraries = Libraries {
    find: exports::find,
    absent: exports::absent,
    bind: exports::bind,
    entry_returned: check_entry,
    unload_returned: portcls::adapter::check_unload,
    unloaded: portcls::adapter::forget_driver,
};

/// Checks what `DriverEntry` of a PortCls driver has done.
fn check_entry(imports: &[Import], driver: *mut DRIVER_OBJECT, status: NTSTATUS) {
    if imports.iter().any(|import| import.module == portcls::MODULE) {
        portcls::adapter::check_driver_entry(driver, status);
    }
}
