//! Brings the machine up, in order, and hands over to the agent.
#![allow(unsafe_code, reason = "the entry point from assembly")]

use guest_protocol::{Event, OPTIONS_FILE, exit};

use crate::arch::frames::{self, MemoryMap};
use crate::arch::fw_cfg::{self, FwCfgError};
use crate::arch::{apic, boot_files, clock, cpu, heap, paging, serial, smp, trap};
use crate::bugcheck::{debugger, response};
use crate::contract::{delay, watch};
use crate::ex::variables;
use crate::harness::options::{self, Line, Options, Time};
use crate::harness::{link, marks};
use crate::{agent, alloc_faults, exports, ke, mm, pci, pnp, portcls};

/// Brings the machine up and serves the harness. The entry code calls it on the main stack, interrupts off, with the
/// physical address of PVH's start info.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn guest_main(start_info: u32) -> ! {
    trap::set_exception_handler(mm::fault::raise);
    cpu::init(0);
    let map = MemoryMap::read(start_info);
    let heap_memory = map.behind_image(heap::size(map.total()));
    heap::init(heap_memory.clone());
    frames::init(&map, heap_memory);
    paging::init(&map);
    boot_files::init(start_info);
    serial::init();
    if boot_files::is_passed(OPTIONS_FILE) {
        // Started by a loader, long after the machine: only the options say how the port is shared.
        read_options();
    }
    match options::current().line {
        Line::Reliable => serial::use_reliable_line(),
        Line::Frames => lend_rings(),
    }
    if !boot_files::is_passed(OPTIONS_FILE) {
        read_options();
    }
    apic::init();
    ke::init();
    variables::set_build(ke::time::version().2);
    clock::leave_out_standstills(options::current().time == Time::Run);
    x86_64::instructions::interrupts::enable();
    smp::start(fw_cfg::processors(), ke::second_processor);
    if let Some(millions) = options::current().calibrate {
        calibrate(millions);
    }
    if options::current().marks {
        marks::lend();
    }
    pci::init();
    pnp::installation::init();
    portcls::init();
    exports::add_portcls(portcls::EXPORT_TABLES);
    serial::enable_receive(ke::host_wakeup);
    agent::serve()
}

/// Says that the guest runs, and lends the rings.
fn lend_rings() {
    link::send_event(Event::Entered);
    if let Some(range) = serial::lend_rings() {
        link::send_event(Event::Rings(range));
        serial::use_rings(range);
    }
}

fn read_options() {
    let options = match boot_files::file(OPTIONS_FILE) {
        Ok(bytes) => match core::str::from_utf8(&bytes).map(Options::parse) {
            Ok(Ok(options)) => options,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => panic!("the options file {OPTIONS_FILE} is no UTF-8 text"),
        },
        Err(FwCfgError::NotFound(_) | FwCfgError::Absent) => Options::default(),
        Err(error) => panic!("{error}"),
    };
    link::set_level(options.log);
    delay::init(options.seed);
    watch::set(options.verifier);
    response::set(&options.waived, options.keep_going, options.verifier);
    debugger::pause_at(options.break_on);
    alloc_faults::init(options.allocations, options.fail_allocation);
    options::set_current(options);
}

/// Runs the loop by which the harness times an accelerator: ordinary ring-0 instructions.
fn calibrate(millions: u64) -> ! {
    for _ in 0..millions.saturating_mul(1_000_000) {
        // SAFETY: does nothing but being executed.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }
    cpu::exit(exit::COMPLETED)
}
