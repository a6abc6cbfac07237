//! The driver under test: loaded, given its device, started, removed, unloaded, and searched for what it left behind.
#![allow(unsafe_code, reason = "calls the driver's entry points")]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use guest_protocol::{DRIVER_FILE, DriverInfo, Failure, FailureKind, Import as ImportName};
use sha2::{Digest, Sha256};

use super::resources::{self, Resources};
use super::{bus, driver_image, installation, load_checks};
use crate::arch::boot_files;
use crate::arch::uninterrupted::Uninterrupted;
use crate::bugcheck::debugger;
use crate::bugcheck::modules::{self, Module};
use crate::contract::export::Absent;
use crate::contract::final_status::Outcome;
use crate::contract::{rules, verifier};
use crate::devnode::{self, Node};
use crate::ex::callback;
use crate::harness::options::{self, DeviceChoice};
use crate::io::irp::{self, send_synchronous};
use crate::io::names::{self, status_text};
use crate::io::wmi;
use crate::io::{device, dma, notification, object_callback, registry, work_item};
use crate::ke::{bugcheck_callback, dpc, handle, interrupt, thread, timer};
use crate::mm::{self, pool};
use crate::nt::irql::PASSIVE_LEVEL;
use crate::nt::status::*;
use crate::nt::*;
use crate::pci::{self, Function, message, registers, routing};
use crate::pe::{DriverImage, Import};
use crate::{po, wdfldr};

/// The name that the driver has here; the harness gives the file's contents, not its name.
const DRIVER_NAME: &str = "driver.sys";
/// The name of its service, which ends its registry path, where no INF names it.
const SERVICE_NAME: &str = "driver";
/// The key of all services.
const SERVICES: &str = "\\Registry\\Machine\\System\\CurrentControlSet\\Services";
/// Driver Verifier's parameter for pool left at unload.
const POOL_LEAK: u64 = 0x62;
const DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS: u32 = 0xce;

struct Loaded {
    driver: *mut DRIVER_OBJECT,
    device: Option<Started>,
}

struct Started {
    pdo: *mut DEVICE_OBJECT,
    // Drivers may keep pointers to the lists until the device is removed.
    resources: Resources,
}
// SAFETY: reached from the main thread.
unsafe impl Send for Loaded {}

static LOADED: Uninterrupted<Option<Loaded>> = Uninterrupted::new(None);

/// What [`start_device`] says.
#[derive(Clone, Debug)]
pub struct StartedDevice {
    /// Where the device is, and its ids.
    pub device: String,
    /// Its resources, one a line.
    pub resources: Vec<String>,
    /// The index of what the INF installs for it.
    pub install: Option<u16>,
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message }
}

fn wrong_order(message: &str) -> Failure {
    failure(FailureKind::Request, message.into())
}

/// What a driver's imports are bound to, and what runs at the stations of the driver's life.
#[derive(Clone, Copy, Debug)]
pub struct Libraries {
    /// Returns the address of a function by module (lower case) and name.
    pub find: fn(module: &str, name: &str) -> Option<u64>,
    /// Says why `find` finds no such function, and what it belongs to where that is known.
    pub absent: fn(module: &str, name: &str) -> (Absent, Option<&'static str>),
    /// Returns the address to bind an import to.
    pub bind: fn(module: &str, name: &str) -> Option<u64>,
    /// Runs when `DriverEntry` has returned.
    pub entry_returned: fn(imports: &[Import], driver: *mut DRIVER_OBJECT, status: NTSTATUS),
    /// Runs when `DriverUnload` has returned.
    pub unload_returned: fn(),
    /// Runs when the driver has been unloaded.
    pub unloaded: fn(),
}

/// Loads the image, resolves its imports, runs `DriverEntry`.
///
/// # Errors
/// [`FailureKind::Request`] if a driver is loaded already, [`FailureKind::Image`] without a file or if it cannot be
/// loaded, [`FailureKind::MissingImports`] with all imports that `libraries` lacks, [`FailureKind::Memory`] without
/// memory for the image, [`FailureKind::NotHosted`] for a driver of a framework, [`FailureKind::Status`] if
/// `DriverEntry` fails.
pub fn load_driver(libraries: &Libraries) -> Result<DriverInfo, Failure> {
    if LOADED.with(|loaded| loaded.is_some()) {
        return Err(wrong_order("a driver is loaded already"));
    }
    let file = boot_files::file(DRIVER_FILE).map_err(|error| failure(FailureKind::Image, error.to_string()))?;
    let bad = |error: crate::pe::ImageError| failure(FailureKind::Image, error.to_string());
    let parsed = DriverImage::parse(&file).map_err(bad)?;
    let imports = parsed.imports().map_err(bad)?;
    let name = |import: &Import| ImportName { module: import.module.clone(), name: import.name.clone() };
    load_checks::check_checksum(&parsed);
    load_checks::check_imports(&imports, libraries)?;
    let module = driver_image::load(DRIVER_NAME, &parsed, |import| load_checks::bind(import, libraries))?;
    let info = DriverInfo {
        file_bytes: file.len() as u32,
        sha256: Sha256::digest(&file).into(),
        base: module.base,
        image_bytes: module.size as u32,
        imports: imports.iter().map(name).collect(),
    };
    debugger::image_loaded(module.base, module.size, module.name);
    run_entry(&module, &imports, libraries)?;
    driver_image::discard_initialisation();
    Ok(info)
}

fn run_entry(module: &Module, imports: &[Import], libraries: &Libraries) -> Result<(), Failure> {
    // A driver is loaded for its device, of whose models each may have a service of its own.
    let installed = find_node().ok().and_then(|node| devnode::installation::of(&node)).map(|(_, install)| install);
    let service = installed.as_ref().map(|install| install.service.as_str()).filter(|name| !name.is_empty());
    let service = service.unwrap_or(SERVICE_NAME);
    // What `DriverEntry` is given.
    let key = format!("{SERVICES}\\{service}");
    registry::create(&key);
    registry::create(&format!("{key}\\Parameters"));
    if let Some(install) = &installed {
        installation::install_service(install, &key);
    }
    let driver = bus::driver_object(service);
    let mut registry_path = bus::lasting_string(&key);
    // SAFETY: the driver's entry point by its real prototype, with a driver object as the I/O manager makes one.
    let status = unsafe {
        (*driver).DriverStart = module.base as PVOID;
        (*driver).DriverSize = module.size as u32;
        let entry = core::mem::transmute::<u64, DRIVER_INITIALIZE>(module.entry);
        (*driver).DriverInit = Some(entry);
        crate::ke::driver_call::call("DriverEntry", || entry(driver, &raw mut registry_path)).finally("DriverEntry")
    };
    if let Some(wanted) = wdfldr::take_refusal() {
        driver_image::unload();
        (libraries.unloaded)();
        return Err(failure(
            FailureKind::NotHosted,
            format!("the driver is linked with a driver framework that this guest does not host: {wanted}"),
        ));
    }
    (libraries.entry_returned)(imports, driver, status);
    if !success(status) {
        check_left_behind("DriverEntry, which failed");
        driver_image::unload();
        (libraries.unloaded)();
        return Err(failure(
            FailureKind::Status(status as u32),
            format!("DriverEntry returned {}", status_text(status)),
        ));
    }
    // SAFETY: a live driver object.
    for device in unsafe { device::of_driver(driver) } {
        // SAFETY: the I/O manager does this for devices that DriverEntry made.
        unsafe { (*device).Flags &= !DO_DEVICE_INITIALIZING };
    }
    LOADED.with(|loaded| *loaded = Some(Loaded { driver, device: None }));
    Ok(())
}

/// Returns whether a function belongs to the machine and has a driver of its own.
fn of_the_machine(function: &Function) -> bool {
    /// Base classes: storage, display, bridge, system peripheral, serial bus; and network, which QEMU adds by itself.
    const CLASSES: [u32; 6] = [0x01, 0x02, 0x03, 0x06, 0x08, 0x0c];
    CLASSES.contains(&(function.class >> 16))
}

/// Returns the device that the driver is for: what the options name, else the only one that a model of its INF is for,
/// else the only one that is not the machine's own.
fn find_node() -> Result<Node, Failure> {
    let all = pci::functions();
    let describe = |functions: &[&Function]| {
        let line = |f: &&Function| format!("{} {:04x}:{:04x}", f.address, f.vendor, f.device);
        functions.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    let bus = || format!("the PCI bus has {}", describe(&all.iter().collect::<Vec<_>>()));
    let none = |message: String| Err(failure(FailureKind::NoDevice, message));
    let options = options::current();
    let has_model = |f: &&Function| devnode::installation::of(&Node::Function((*f).clone())).is_some();
    let installed = devnode::installation::installed();
    let (candidates, what): (Vec<&Function>, String) = match (options.device, &installed) {
        (Some(DeviceChoice::Root), _) => return Ok(Node::Root(options.resources)),
        (Some(DeviceChoice::Function { vendor, device, number }), _) => {
            let equal: Vec<&Function> = all.iter().filter(|f| (f.vendor, f.device) == (vendor, device)).collect();
            let what = format!("{vendor:04x}:{device:04x}");
            match number {
                Some(number) if number >= equal.len() && !equal.is_empty() => {
                    return none(format!(
                        "there is no function {what}:{number}: there are {}, numbered from 0, {}",
                        equal.len(),
                        describe(&equal)
                    ));
                }
                Some(number) => (equal.get(number).copied().into_iter().collect(), what),
                None => (equal, what),
            }
        }
        (None, Some(installed)) => {
            let ids = installed.models.iter().flat_map(|m| core::iter::once(&m.hardware_id).chain(&m.compatible_ids));
            let ids: Vec<&str> = ids.map(String::as_str).filter(|id| !id.is_empty()).take(IDS_SHOWN).collect();
            (all.iter().filter(has_model).collect(), format!("of the models of {} ({})", installed.inf, ids.join(", ")))
        }
        (None, None) => (all.iter().filter(|f| !of_the_machine(f)).collect(), "for the driver".into()),
    };
    match candidates[..] {
        [function] => Ok(Node::Function(function.clone())),
        [] => none(format!("there is no function {what}: {}; a device of no bus is named by --no-device", bus())),
        _ => none(format!(
            "several functions are {what}: {}; name one by --pci VVVV:DDDD, and :0, :1 where they have the same ids",
            describe(&candidates)
        )),
    }
}

/// Ids of an INF that a message shows.
const IDS_SHOWN: usize = 8;

/// Finds the device, runs `AddDevice`, starts the device.
///
/// # Errors
/// [`FailureKind::Request`] without a driver or with a device that is started already, [`FailureKind::NoDevice`] if no
/// function, or more than one, could be the driver's, [`FailureKind::Status`] if `AddDevice` or `IRP_MN_START_DEVICE`
/// fails.
pub fn start_device() -> Result<StartedDevice, Failure> {
    let Some((driver, started)) = LOADED.with(|loaded| loaded.as_ref().map(|l| (l.driver, l.device.is_some()))) else {
        return Err(wrong_order("no driver is loaded"));
    };
    if started {
        return Err(wrong_order("the device is started already"));
    }
    let node = find_node()?;
    // SAFETY: a live driver object.
    let Some(add_device) = (unsafe { (*(*driver).DriverExtension).AddDevice }) else {
        return Err(failure(
            FailureKind::Status(STATUS_INVALID_DEVICE_REQUEST as u32),
            "the driver has no AddDevice routine".into(),
        ));
    };
    let pdo = bus::create(node.clone());
    // SAFETY: the driver's routine by its real prototype.
    let status = crate::ke::driver_call::call("AddDevice", || unsafe { add_device(driver, pdo) });
    if !success(status) {
        // SAFETY: a live object.
        if !unsafe { (*pdo).AttachedDevice }.is_null() {
            verifier::violation(
                None,
                "AddDevice",
                format_args!(
                    "AddDevice failed with {} and left its device object attached: detach and delete it",
                    status_text(status)
                ),
            );
        } else {
            // SAFETY: nothing is attached to it.
            unsafe { bus::delete(pdo) };
        }
        return Err(failure(FailureKind::Status(status as u32), format!("AddDevice returned {}", status_text(status))));
    }
    // SAFETY: live objects.
    unsafe {
        let top = device::top(pdo);
        if top == pdo {
            verifier::violation(
                None,
                "AddDevice",
                format_args!("AddDevice succeeded and attached no device object to the physical device object"),
            );
            bus::delete(pdo);
            return Err(failure(FailureKind::NoDevice, "the driver attached no device object to its device".into()));
        }
        if (*top).Flags & DO_DEVICE_INITIALIZING != 0 {
            verifier::violation(
                None,
                "AddDevice",
                format_args!(
                    "AddDevice left DO_DEVICE_INITIALIZING set in its device object: clear it before returning"
                ),
            );
            (*top).Flags &= !DO_DEVICE_INITIALIZING;
        }
    }
    let mut resources = resources::of(&node);
    let lines = resources.lines.clone();
    lines.iter().for_each(|line| crate::debug!("{}: {line}", node.description()));
    let (raw, translated) = (resources.raw.as_ptr(), resources.translated.as_ptr());
    registers::assign(memory_ranges(&node));
    let status = pnp(pdo, IRP_MN_START_DEVICE, |stack| {
        stack.Parameters.StartDevice =
            IO_START_DEVICE { AllocatedResources: raw, AllocatedResourcesTranslated: translated };
    });
    LOADED.with(|loaded| {
        if let Some(loaded) = loaded {
            loaded.device = Some(Started { pdo, resources });
        }
    });
    if !success(status) {
        // The PnP manager removes what it could not start.
        remove()?;
        return Err(failure(
            FailureKind::Status(status as u32),
            format!("IRP_MN_START_DEVICE returned {}", status_text(status)),
        ));
    }
    wmi::ask_providers();
    let install = devnode::installation::of(&node).map(|(model, _)| model.install);
    Ok(StartedDevice { device: bus::describe(pdo), resources: lines, install })
}

/// Returns the physical device object of the driver's device, if it is there.
#[must_use]
pub fn device_object() -> Option<*mut DEVICE_OBJECT> {
    LOADED.with(|loaded| loaded.as_ref()?.device.as_ref().map(|started| started.pdo))
}

/// Starts the device again after `IRP_MN_STOP_DEVICE`: at other addresses and other vectors, as a system does that
/// stops a device to make room for another. Returns the driver's status, and the new resources, one a line.
#[must_use]
pub fn start_again() -> Option<(NTSTATUS, Vec<String>)> {
    let pdo = device_object()?;
    let node = devnode::of(pdo)?;
    expect_stopped(&node);
    routing::renumber();
    message::renumber();
    let moved = match &node {
        Node::Function(function) => {
            let moved = pci::relocate(function);
            devnode::set_function(pdo, &moved);
            Node::Function(moved)
        }
        // What was given by hand stays; its interrupt has another vector.
        Node::Root(_) => node.clone(),
    };
    registers::moved(&memory_ranges(&node), &memory_ranges(&moved));
    let lines = LOADED.with(|loaded| {
        let started = loaded.as_mut()?.device.as_mut()?;
        started.resources = resources::of(&moved);
        Some(started.resources.lines.clone())
    })?;
    lines.iter().for_each(|line| crate::debug!("{}: {line}", moved.description()));
    let lists = LOADED.with(|loaded| {
        let resources = &mut loaded.as_mut()?.device.as_mut()?.resources;
        Some(IO_START_DEVICE {
            AllocatedResources: resources.raw.as_ptr(),
            AllocatedResourcesTranslated: resources.translated.as_ptr(),
        })
    })?;
    let status = pnp(pdo, IRP_MN_START_DEVICE, |stack| stack.Parameters.StartDevice = lists);
    wmi::ask_providers();
    Some((status, lines))
}

/// Returns where a device's memory is.
fn memory_ranges(node: &Node) -> Vec<Range<u64>> {
    match node {
        Node::Function(function) => {
            let memory = function.bars.iter().filter(|bar| !bar.io && bar.base != 0);
            memory.map(|bar| bar.base..bar.base + bar.size).collect()
        }
        Node::Root(resources) => {
            let range = |resource: &options::Resource| match *resource {
                options::Resource::Memory { start, length } => Some(start..start + u64::from(length)),
                _ => None,
            };
            resources.iter().filter_map(range).collect()
        }
    }
}

/// Reports what the driver still holds that a stopped device has given back.
fn expect_stopped(node: &Node) {
    let mapped = registers::mapped_in(&memory_ranges(node)).len();
    let connected = interrupt::connected();
    let held = match (mapped, connected) {
        (0, 0) => return,
        (0, _) => format!("{connected} interrupts are still connected"),
        _ => format!("{mapped} pages of the device's registers are still mapped"),
    };
    verifier::violation(
        Some(rules::RESTART.number),
        "IRP_MN_STOP_DEVICE",
        format_args!(
            "after IRP_MN_STOP_DEVICE {held}: the device is about to get other resources. Give everything back when the \
             miniport is released, and take it from the resources of the next IRP_MN_START_DEVICE [{}]",
            rules::RESTART.source
        ),
    )
}

/// Sends a PnP request to the stack of a device.
pub(crate) fn pnp(pdo: *mut DEVICE_OBJECT, minor: u8, fill: impl FnOnce(&mut IO_STACK_LOCATION)) -> NTSTATUS {
    // SAFETY: a live stack; the parameters are the caller's.
    unsafe {
        send_synchronous(pdo, STATUS_NOT_SUPPORTED, |_, stack| {
            stack.MajorFunction = IRP_MJ_PNP;
            stack.MinorFunction = minor;
            fill(stack);
        })
        .0
    }
}

/// Removes the device without asking, as after a surprise removal.
///
/// # Errors
/// [`FailureKind::Request`] when no device is started.
pub fn remove() -> Result<(), Failure> {
    let Some(started) = LOADED.with(|loaded| loaded.as_mut().and_then(|loaded| loaded.device.take())) else {
        return Err(wrong_order("no device is started"));
    };
    let status = pnp(started.pdo, IRP_MN_REMOVE_DEVICE, |_| {});
    if !success(status) {
        verifier::violation(
            None,
            "IRP_MN_REMOVE_DEVICE",
            format_args!("the driver failed IRP_MN_REMOVE_DEVICE with {}: removal cannot fail", status_text(status)),
        );
    }
    let connected = interrupt::connected();
    if connected != 0 {
        verifier::stop_by_rule(
            verifier::RULE_NOTHING_LEFT,
            DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            "IRP_MN_REMOVE_DEVICE",
            [started.pdo as u64, connected as u64, 0, 0],
            format_args!(
                "after IRP_MN_REMOVE_DEVICE {connected} interrupts of the device are still connected: call \
                 IoDisconnectInterrupt (IoDisconnectInterruptEx for what IoConnectInterruptEx connected) before IoDeleteDevice \
                 [IoDisconnectInterrupt; IRP_MN_REMOVE_DEVICE]"
            ),
        );
    }
    // SAFETY: a live object.
    if !unsafe { (*started.pdo).AttachedDevice }.is_null() {
        verifier::violation(
            None,
            "IRP_MN_REMOVE_DEVICE",
            format_args!(
                "after IRP_MN_REMOVE_DEVICE a device object is still attached: call IoDetachDevice and IoDeleteDevice"
            ),
        );
    } else {
        // SAFETY: nothing is attached to it.
        unsafe { bus::delete(started.pdo) };
    }
    registers::forget_former();
    registers::assign(Vec::new());
    Ok(())
}

/// Asks the driver whether the device may be removed, then removes it.
///
/// # Errors
/// [`FailureKind::Request`] when no device is started, [`FailureKind::Status`] if the driver refuses.
pub fn stop_device() -> Result<(), Failure> {
    let Some(pdo) = LOADED.with(|loaded| loaded.as_ref()?.device.as_ref().map(|started| started.pdo)) else {
        return Err(wrong_order("no device is started"));
    };
    let status = pnp(pdo, IRP_MN_QUERY_REMOVE_DEVICE, |_| {});
    if !success(status) {
        pnp(pdo, IRP_MN_CANCEL_REMOVE_DEVICE, |_| {});
        return Err(failure(
            FailureKind::Status(status as u32),
            format!("the driver refuses to be removed: {}", status_text(status)),
        ));
    }
    remove()
}

/// Runs `DriverUnload` and looks for what the driver left behind.
///
/// # Errors
/// [`FailureKind::Request`] when no driver is loaded or its device is still started, [`FailureKind::Status`] when it
/// has no `DriverUnload` routine.
pub fn unload_driver(libraries: &Libraries) -> Result<(), Failure> {
    let Some((driver, started)) = LOADED.with(|loaded| loaded.as_ref().map(|l| (l.driver, l.device.is_some()))) else {
        return Err(wrong_order("no driver is loaded"));
    };
    if started {
        return Err(wrong_order("the driver's device is still started"));
    }
    // SAFETY: a live driver object.
    let Some(unload) = (unsafe { (*driver).DriverUnload }) else {
        return Err(failure(
            FailureKind::Status(STATUS_INVALID_DEVICE_REQUEST as u32),
            "the driver has no DriverUnload routine and so can never be unloaded".into(),
        ));
    };
    // SAFETY: the driver's routine by its real prototype.
    crate::ke::driver_call::call("DriverUnload", || unsafe { unload(driver) });
    (libraries.unload_returned)();
    // SAFETY: a live driver object.
    let devices = unsafe { device::of_driver(driver) };
    if !devices.is_empty() {
        verifier::violation(
            Some(verifier::RULE_NOTHING_LEFT),
            "DriverUnload",
            format_args!(
                "the driver is unloaded and {} of its device objects still exist: call IoDeleteDevice",
                devices.len()
            ),
        );
    }
    check_left_behind("DriverUnload");
    LOADED.with(|loaded| *loaded = None);
    driver_image::unload();
    (libraries.unloaded)();
    Ok(())
}

/// Reports what the driver left behind that only the driver could free; stops if it would call the driver.
fn check_left_behind(when: &str) {
    debug_assert_eq!(crate::arch::cpu::irql(), PASSIVE_LEVEL);
    // SAFETY: no arguments.
    unsafe { dpc::KeFlushQueuedDpcs() };
    mm::quarantine::check();
    let Some(module) = modules::module() else { return };
    let code = module.base..module.base + module.size;
    let pending = |what: String| -> ! {
        verifier::stop_by_rule(
            verifier::RULE_NOTHING_LEFT,
            DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            when,
            [code.start, 0, 0, 0],
            format_args!("after {when} {what}: it would run code that is gone"),
        )
    };
    if let Some(at) = timer::active_in(&code) {
        pending(format!("the timer at {at:#x} is still set; call KeCancelTimer"))
    }
    if let Some(at) = dpc::queued_in(&code) {
        pending(format!("the DPC at {at:#x} is still queued; call KeRemoveQueueDpc or KeFlushQueuedDpcs"))
    }
    if interrupt::connected() != 0 {
        pending(
            "an interrupt is still connected; call IoDisconnectInterrupt, or release the interrupt sync object".into(),
        )
    }
    if thread::driver_threads() != 0 {
        pending(format!("{} system threads still run; wait for their end", thread::driver_threads()))
    }
    let mut left: Vec<String> = mm::outstanding();
    left.extend(dma::outstanding());
    left.extend(callback::outstanding());
    left.extend(bugcheck_callback::outstanding());
    left.extend(notification::outstanding());
    left.extend(object_callback::outstanding());
    left.extend(po::outstanding());
    left.extend(names::links().into_iter().map(|link| format!("the symbolic link {link}")));
    left.extend((work_item::outstanding() != 0).then(|| format!("{} work items", work_item::outstanding())));
    left.extend((irp::outstanding() != 0).then(|| format!("{} I/O request packets", irp::outstanding())));
    left.extend((handle::count() != 0).then(|| format!("{} handles", handle::count())));
    if !left.is_empty() {
        verifier::violation(
            Some(verifier::RULE_NOTHING_LEFT),
            when,
            format_args!("after {when} the driver still holds {}: release them", left.join(", ")),
        );
    }
    let (count, bytes, _) = pool::totals();
    if count != 0 {
        let tags: Vec<String> =
            pool::outstanding().iter().map(|(tag, n, b)| format!("'{tag}' {n} of {b} bytes")).collect();
        verifier::broken(
            verifier::RULE_NOTHING_LEFT,
            0xc4,
            when,
            [POOL_LEAK, code.start, count, bytes],
            format_args!(
                "after {when} {count} pool allocations of {bytes} bytes are not freed, by tag: {}",
                tags.join(", ")
            ),
        );
    }
}
