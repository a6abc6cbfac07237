//! The probe of a device's start: with other resources than usual, with services that fail, with an adapter object that
//! is not the driver's, and again after a stop.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use guest_protocol::Failure;

use super::{Figures, streams};
use crate::contract::note::note;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::portcls::adapter;
use crate::portcls::com::object;
use crate::portcls::port::bare_adapter;
use crate::portcls::services::alteration::{self, ALTERATIONS, Alteration};
use crate::portcls::services::call_faults;
use crate::{ke, mm, pnp};

/// Milliseconds without any interrupt after which a device without an open stream is at rest, and the most interrupts
/// that it may raise before it is. A device that goes on for ever never rests that long, however slow the machine.
const QUIET_MS: u32 = 100;
const QUIET_INTERRUPTS: u64 = 20;

/// More services than any start asks PortCls for.
const SERVICES_MAX: u32 = 64;

/// What a driver holds beside its loaded image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holding {
    pool: (u64, u64),
    mappings: Vec<alloc::string::String>,
    objects: Vec<alloc::string::String>,
    interrupts: usize,
}

fn holding() -> Holding {
    let (count, bytes, _) = mm::pool::totals();
    Holding {
        pool: (count, bytes),
        mappings: mm::outstanding(),
        objects: object::leftovers(),
        interrupts: ke::interrupt::connected(),
    }
}

/// Starts and removes the device under all circumstances that a driver must cope with. The driver is loaded and its
/// device not started.
///
/// # Errors
/// The [`Failure`] of a start that must succeed and does not.
pub(crate) fn run() -> Result<Figures, Failure> {
    let before = holding();
    let mut failed = 0;
    let mut succeeded = 0;
    // A plain one first, which makes what a driver makes once.
    started_and_removed(rules::RESTART, "a plain start", &before)?;
    for alteration in ALTERATIONS {
        alteration::alter(alteration);
        let started = rules::must_survive(rules::RESOURCE_LISTS, pnp::start_device);
        if started.is_ok() {
            // A driver that needs none of what is missing may start; then it works.
            rules::must_survive(rules::RESOURCE_LISTS, || works(alteration));
            succeeded += 1;
            pnp::stop_device()?;
        } else {
            failed += 1;
        }
        alteration::alter(Alteration::None);
        left_behind(rules::RESOURCE_LISTS, &format!("a start with resources {alteration:?}"), &before);
    }
    let mut service_failures = 0;
    for number in 1..=SERVICES_MAX {
        call_faults::fail_call(number);
        let started = rules::must_survive(rules::INIT_FAILURES, pnp::start_device);
        let service = call_faults::failed();
        call_faults::fail_call(0);
        if started.is_ok() {
            pnp::stop_device()?;
        }
        let Some(service) = service else { break };
        service_failures += 1;
        left_behind(rules::INIT_FAILURES, &format!("a start in which {service} (call {number}) failed"), &before);
    }
    bare_adapter::use_bare_adapter(true);
    let bare_started =
        started_and_removed(rules::UNKNOWN_ADAPTER, "a start with an adapter object of no interface", &before);
    bare_adapter::use_bare_adapter(false);
    started_again();
    bare_started?;
    quiet();
    pnp::stop_device()?;
    Ok(vec![
        ("starts that failed as they had to", failed),
        ("starts that succeeded with odd resources", succeeded),
        ("services made to fail", service_failures),
    ])
}

/// Opens every music pin of a device that has started with other resources than usual, and plays an event. A pin that
/// does not open says so by its status, which is its right.
fn works(alteration: Alteration) {
    let ports = adapter::subdevices();
    let opened = ports.iter().map(|(_, port)| streams::play_once(port, rules::RESOURCE_LISTS)).sum::<u32>();
    if opened == 0 && ports.iter().any(|(_, port)| streams::has_music_pin(port)) {
        note(
            rules::RESOURCE_LISTS,
            "StartDevice",
            format!("the device starts with resources {alteration:?}, and then no music pin of it opens and runs"),
        );
    }
}

/// Starts a device that has started before.
fn started_again() {
    if let Err(failure) = pnp::start_device() {
        broken(
            rules::RESTART,
            format!("the device started before, and does not start any more: {}", failure.message),
            "keep nothing from one start to the next: what StartDevice and Init set up goes with the device",
        );
    }
    rules::RESTART.held();
}

fn started_and_removed(rule: &'static rules::Rule, what: &str, before: &Holding) -> Result<(), Failure> {
    rules::must_survive(rule, pnp::start_device)?;
    pnp::stop_device()?;
    left_behind(rule, what, before);
    Ok(())
}

fn left_behind(rule: &'static rules::Rule, what: &str, before: &Holding) {
    let after = holding();
    if after == *before {
        return;
    }
    let grown = |name: &str, before: &[alloc::string::String], after: &[alloc::string::String]| {
        let new: Vec<&str> = after.iter().filter(|item| !before.contains(item)).map(|item| item.as_str()).collect();
        if new.is_empty() { alloc::string::String::new() } else { format!("; {name}: {}", new.join(", ")) }
    };
    broken(
        rule,
        format!(
            "after {what} the driver holds {} pool allocations (before: {}), {} connected interrupts (before: {}){}{}",
            after.pool.0,
            before.pool.0,
            after.interrupts,
            before.interrupts,
            grown("mappings", &before.mappings, &after.mappings),
            grown("objects", &before.objects, &after.objects)
        ),
        "on every path out of StartDevice and Init release what was taken, in the reverse order",
    )
}

/// Checks that a device without streams raises no stream of interrupts (rule 23).
fn quiet() {
    let before = ke::statistics().interrupts;
    let (mut raised, mut rested) = (0, 0);
    while rested < QUIET_MS {
        ke::idle(1_000_000);
        let now = ke::statistics().interrupts - before;
        rested = if now == raised { rested + 1 } else { 0 };
        raised = now;
        if raised > QUIET_INTERRUPTS {
            note(
                rules::QUIET_AFTER_INIT,
                "StartDevice",
                "without an open stream the device goes on raising interrupts: those of functions that are not in use can be masked",
            );
            break;
        }
    }
    rules::QUIET_AFTER_INIT.held();
}

fn broken(rule: &'static rules::Rule, what: alloc::string::String, remedy: &'static str) {
    violation("StartDevice", Violation::new(rule, what, remedy))
}
