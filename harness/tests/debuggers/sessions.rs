//! The documented sessions of lldb and gdb.

use std::process::Command;

use crate::guest::{Guest, STOPPED, Wanted, checkout, driver_with_dwarf, lldb, program, run};

/// Returns the line of a file of the workspace's on which a text stands first.
pub(crate) fn line_of(file: &str, text: &str) -> usize {
    let source = std::fs::read_to_string(checkout().root.join(file)).unwrap();
    source.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{file} has no `{text}`")) + 1
}

#[test]
fn lldb_stops_in_driver_entry_with_the_stack_into_the_nt_host_while_time_limits_wait() {
    let Some(lldb) = lldb() else { return };
    let mut guest = Guest::boot(&Wanted::default());
    let Some(folder) = guest.waits() else { return };
    let sleep = format!("script import time; time.sleep({})", STOPPED.as_secs());
    let mut command = Command::new(lldb);
    command.arg("-b").arg("-s").arg(folder.join("session.lldb"));
    let said = run(command.args(["-o", "bt", "-o", &sleep, "-o", "process detach"]));
    assert!(said.contains("is driver.sys of the guest, at 0x"), "{said}");
    assert!(said.contains("DriverEntry at adapter.rs:"), "{said}");
    assert!(said.contains("nt-host`load_driver at driver.rs:"), "{said}");
    guest.end().unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(guest.said().contains("the debugger has left; the guest goes on"), "{}", guest.said());
}

#[test]
fn lldb_stops_at_a_line_of_the_driver_with_the_stack_into_the_nt_host() {
    const FILE: &str = "guest-driver/sys/src/adapter.rs";
    let Some(lldb) = lldb() else { return };
    let line = line_of(FILE, "PcAddAdapterDevice(");
    let place = format!("adapter.rs:{line}");
    let mut guest = Guest::boot(&Wanted { break_at: &[&place], ..Wanted::default() });
    let Some(folder) = guest.waits() else { return };
    let mut command = Command::new(lldb);
    command.arg("-b").arg("-s").arg(folder.join("session.lldb"));
    let said = run(command.args(["-o", "bt", "-o", "process detach"]));
    assert!(said.contains("dmuscard.sys`dmuscard::adapter::add_device"), "{said}");
    assert!(said.contains(&format!(" at adapter.rs:{line}")), "{said}");
    assert!(said.contains("nt-host`"), "{said}");
    guest.end().unwrap_or_else(|error| panic!("{error}\n{said}"));
}

#[test]
fn gdb_stops_at_a_line_of_a_driver_with_dwarf_and_shows_locals() {
    const FILE: &str = "guest-driver/fixture/src/adapter.cpp";
    let Some(gdb) = program("gdb") else { return };
    let Some(driver) = driver_with_dwarf(None) else { return };
    let line = line_of(FILE, "status = PcInitializeAdapterDriver(");
    let place = format!("adapter.cpp:{line}");
    let mut guest = Guest::boot(&Wanted { driver: Some(&driver), break_at: &[&place], ..Wanted::default() });
    let Some(folder) = guest.waits() else { return };
    let mut command = Command::new(gdb);
    command.args(["-q", "-batch", "-nx", "-x"]).arg(folder.join("session.gdb"));
    let said = run(command.args(["-ex", "info args", "-ex", "bt", "-ex", "detach"]));
    assert!(said.contains(&format!("adapter.cpp:{line}")), "{said}");
    assert!(said.contains("registryPath = 0x"), "{said}");
    assert!(said.contains("in load_driver () at images/nt-host/src/pnp/driver.rs:"), "{said}");
    guest.end().unwrap_or_else(|error| panic!("{error}\n{said}"));
}
