//! Names of the options that a guest reads before it serves: lines of `name=value` in the `fw_cfg` file
//! [`OPTIONS_FILE`](crate::OPTIONS_FILE).

/// Runs a loop of this many million iterations instead of serving, then leaves with
/// [`exit::COMPLETED`](crate::exit::COMPLETED): the calibration guest, which times an accelerator.
pub const CALIBRATE: &str = "calibrate";
/// Sets the least severe level of log lines that are sent: `error`, `warn`, `info` (default), `debug` or `trace`.
pub const LOG: &str = "log";
/// Names the driver's PCI function, as `vvvv:dddd` in hexadecimal, or `vvvv:dddd:n` for the n-th from 0 of those with the
/// same ids in order of address; or [`ROOT_DEVICE`] for a device that no bus enumerates.
pub const DEVICE: &str = "device";
/// The value of [`DEVICE`] for a device that no bus enumerates.
pub const ROOT_DEVICE: &str = "root";
/// Gives a device that no bus enumerates a resource; once for each. `port:330+2` and `memory:d0000+1000` are start and
/// length in hexadecimal, `irq:5:edge` and `irq:5:level` a line and `dma:1` a channel in decimal.
pub const RESOURCE: &str = "resource";
/// With `report`, sends [`Event::Allocation`](crate::Event::Allocation) for each call stack of the driver that allocates.
pub const ALLOCATIONS: &str = "allocations";
/// Fails the allocation of one call stack, named by its hash in hexadecimal.
pub const FAIL_ALLOCATION: &str = "fail-allocation";
/// Seeds the delays of interrupts, DPCs and calls, in hexadecimal. Without it there are none.
pub const SEED: &str = "seed";
/// Selects how the device interrupts: by its line (`line`, default) or by messages (`message`).
pub const INTERRUPTS: &str = "interrupts";
/// Sets how many messages the system has for the device, 1 to [`MESSAGES_MAX`] (default): a device that is to have more gets
/// one.
pub const MESSAGES: &str = "messages";
/// The most messages that the system has for a device.
pub const MESSAGES_MAX: u16 = 8;
/// Selects where 64-bit base addresses are placed: below 4 GiB (`below-4g`, default) or above (`above-4g`).
pub const BARS: &str = "bars";
/// Selects the Windows that the guest poses as: `6.1` (7), `6.2` (8), `6.3` (8.1) or `10.0` (10, default). An older one lacks the
/// functions that are younger by their pages, and answers queries of its version accordingly.
pub const WINDOWS: &str = "windows";
/// Selects what the system's time counts: what the machine's clocks show (`shown`, default), or only time in which the
/// machine runs (`run`).
pub const TIME: &str = "time";
/// With `off`, leaves the driver unchecked, to measure what checking costs: no rule and no check stops the guest or is
/// reported. `on` is the default.
pub const VERIFIER: &str = "verifier";
/// Waives rules and checks, by number with commas between: a violation of one is sent as
/// [`Event::Finding`](crate::Event::Finding), and the guest goes on where it can.
pub const WAIVE: &str = "waive";
/// With `on`, each violation after which the guest can go on is sent as [`Event::Finding`](crate::Event::Finding), and the
/// guest goes on. `off` is the default.
pub const KEEP_GOING: &str = "keep-going";
/// Pauses the machine (see [`pause`](crate::pause)) at each violation of a rule or check, by its number; or, with
/// [`BREAK_ON_ANY`], at each violation and each bug check.
pub const BREAK_ON: &str = "break-on";
/// The value of [`BREAK_ON`] for each violation and each bug check.
pub const BREAK_ON_ANY: &str = "any";
/// With `on`, the guest marks changes of the IRQL, interrupts, deferred procedure calls, calls of `PutMessage` and peaks of the driver's pool
/// in a ring that it lends ([`Event::Marks`](crate::Event::Marks)). `off` is the default: marks cost time.
pub const MARKS: &str = "marks";
/// Selects how messages pass on COM1: as frames (`frames`, default), or on a reliable line (`reliable`, [`line`](crate::line)), as of a guest
/// that was started from a disk and whose firmware writes to the port too.
pub const LINE: &str = "line";
