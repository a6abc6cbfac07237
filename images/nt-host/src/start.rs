//! Brings the machine up, in order, and hands over to the agent.
#![allow(unsafe_code, reason = "the entry point from assembly")]

use guest_protocol::{Event, OPTIONS_FILE, exit};

use crate::arch::fw_cfg::{self, FwCfgError};
use crate::arch::{apic, cpu, serial, smp};
use crate::mm::frames::MemoryMap;
use crate::mm::{frames, heap, paging};
use crate::options::{Options, Time};
use crate::sync::Uninterrupted;
use crate::{agent, ke, line, pci};

static OPTIONS: Uninterrupted<Option<Options>> = Uninterrupted::new(None);

/// What the harness asked of this guest.
#[must_use]
pub(crate) fn options() -> Options {
    OPTIONS.with(|options| options.clone().unwrap_or_default())
}

/// Called by the entry code on the main stack, interrupts off, with the physical address of PVH's start info.
pub(crate) extern "C" fn start(start_info: u32) -> ! {
    cpu::init(0);
    let map = MemoryMap::read(start_info);
    let heap_memory = map.behind_image(heap::size(map.total()));
    heap::init(heap_memory.clone());
    frames::init(&map, heap_memory);
    paging::init(&map);
    serial::init();
    line::send_event(Event::Entered);

    read_options();
    apic::init();
    ke::init();
    ke::time::leave_out_standstills(options().time == Time::Run);
    x86_64::instructions::interrupts::enable();
    smp::start(fw_cfg::processors());
    if let Some(millions) = options().calibrate {
        calibrate(millions);
    }
    pci::init();
    serial::enable_receive();
    agent::serve()
}

fn read_options() {
    let options = match fw_cfg::file(OPTIONS_FILE) {
        Ok(bytes) => match core::str::from_utf8(&bytes).map(Options::parse) {
            Ok(Ok(options)) => options,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => panic!("the options file {OPTIONS_FILE} is no UTF-8 text"),
        },
        Err(FwCfgError::NotFound(_) | FwCfgError::Absent) => Options::default(),
        Err(error) => panic!("{error}"),
    };
    line::set_level(options.log);
    ke::delay::init(options.seed);
    crate::watch::set(options.verifier);
    crate::shortage::init(options.allocations, options.fail_allocation);
    OPTIONS.with(|slot| *slot = Some(options));
}

/// Runs the loop by which the harness times an accelerator: ordinary ring-0 instructions.
fn calibrate(millions: u64) -> ! {
    for _ in 0..millions.saturating_mul(1_000_000) {
        // SAFETY: does nothing but being executed.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }
    cpu::exit(exit::COMPLETED)
}
