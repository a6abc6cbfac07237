//! The driver with full debug information: the bytes of the one that ships, and locals in a debugger.

use std::fs;
use std::process::Command;

use dmus::event::Silent;
use dmus::provision::{Artefact, Overrides, Provisioner};

use crate::guest::{Guest, Wanted, checkout, lldb, run};
use crate::sessions::line_of;

/// The variable that has the driver built twice, which takes a minute.
const VARIABLE: &str = "DMUS_DEBUG_INFORMATION";

#[test]
fn full_debug_information_shows_locals_and_changes_no_byte_of_the_image() {
    const FILE: &str = "guest-driver/sys/src/adapter.rs";
    if std::env::var_os(VARIABLE).is_none() {
        println!("skipped: without {VARIABLE} the driver is not built a second time");
        return;
    }
    let Some(lldb) = lldb() else { return };
    let workspace = checkout();
    let driver = |full_debug_info| {
        let overrides = Overrides { full_debug_info, ..Overrides::default() };
        Provisioner::new(&workspace, overrides, &Silent).unwrap().resolve(Artefact::Driver).unwrap()
    };
    let (shipped, full) = (driver(false), driver(true));
    assert_ne!(shipped, full);
    assert!(fs::read(&shipped).unwrap() == fs::read(&full).unwrap(), "the images differ");
    let size = |path: &std::path::Path| fs::metadata(path.with_extension("pdb")).unwrap().len();
    assert!(size(&full) > size(&shipped), "the PDB holds more");

    let place = format!("adapter.rs:{}", line_of(FILE, "match unsafe { start(level, device, irp, resources) }"));
    let mut guest = Guest::boot(&Wanted { driver: Some(&full), break_at: &[&place], ..Wanted::default() });
    let Some(folder) = guest.waits() else { return };
    let mut command = Command::new(lldb);
    command.arg("-b").arg("-s").arg(folder.join("session.lldb"));
    let said = run(command.args(["-o", "frame variable", "-o", "process detach"]));
    assert!(said.contains("resources = 0x"), "{said}");
    guest.end().unwrap_or_else(|error| panic!("{error}\n{said}"));
}
