//! Guests that stop where a rule is violated: under a debugger, and by themselves.

use std::process::Command;

use dmus::debugger::BreakOn;
use dmus::host::failure::{Class, Diagnosed};

use crate::clients::Client;
use crate::guest::{Guest, STOPPED, Wanted, driver_with_dwarf, program, run};

/// A variant that violates one rule while it starts, and the rule.
const VARIANT: (&str, u16) = ("entry_passes_another_path", 9);

#[test]
fn a_guest_without_a_debugger_pauses_at_the_violation_until_one_lets_it_go_on() {
    let Some(driver) = driver_with_dwarf(Some(VARIANT.0)) else { return };
    let rule = Some(BreakOn::Rule(VARIANT.1));
    let mut guest = Guest::boot(&Wanted { driver: Some(&driver), break_on: rule, alone: true, ..Wanted::default() });
    let Some(said) = guest.wait_for("the machine has stopped at the violation") else { return };
    assert!(said.contains("Attach a debugger"), "{said}");
    // Time limits wait.
    std::thread::sleep(STOPPED);
    let mut debugger = Client::connect(&guest.socket());
    debugger.send("?");
    debugger.answer();
    debugger.send("D");
    debugger.answer();
    drop(debugger);
    let error = guest.end().unwrap_err();
    assert_eq!(error.class(), Class::GuestCrashed, "{error}");
    assert!(error.to_string().contains(&format!("rule {}", VARIANT.1)), "{error}");
}

#[test]
fn gdb_stops_at_a_violation_of_the_rule_with_the_drivers_call_on_the_stack() {
    let Some(gdb) = program("gdb") else { return };
    let Some(driver) = driver_with_dwarf(Some(VARIANT.0)) else { return };
    let rule = Some(BreakOn::Rule(VARIANT.1));
    let mut guest = Guest::boot(&Wanted { driver: Some(&driver), break_on: rule, ..Wanted::default() });
    let Some(folder) = guest.waits() else { return };
    let mut command = Command::new(gdb);
    command.args(["-q", "-batch", "-nx", "-x"]).arg(folder.join("session.gdb"));
    let said = run(command.args(["-ex", "bt", "-ex", "detach"]));
    assert!(said.contains(&format!("rule {} is violated in ", VARIANT.1)), "{said}");
    assert!(said.contains("nt_host_violation ()"), "{said}");
    assert!(said.contains("adapter.cpp:"), "the driver's call is on the stack: {said}");
    let error = guest.end().unwrap_err();
    assert_eq!(error.class(), Class::GuestCrashed, "{error}");
}

#[test]
fn a_guest_runs_through_where_another_rule_is_violated() {
    let Some(driver) = driver_with_dwarf(Some(VARIANT.0)) else { return };
    let rule = Some(BreakOn::Rule(VARIANT.1 + 1));
    let mut guest = Guest::boot(&Wanted { driver: Some(&driver), break_on: rule, alone: true, ..Wanted::default() });
    let error = guest.end().unwrap_err();
    if error.class() == Class::MissingArtefact {
        println!("skipped: {error}");
        return;
    }
    assert_eq!(error.class(), Class::GuestCrashed, "{error}");
    assert!(!guest.said().contains("stopped"), "{}", guest.said());
}
