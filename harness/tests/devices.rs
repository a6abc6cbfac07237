//! A driver on a device of the user's: QEMU's own, one that no bus enumerates, one that a command serves; what its INF
//! installs; and who is named when the device fails.
//!
//! The driver prints what it is given (`guest-driver/fixture/drivers/devices`). Without mingw-w64 or QEMU the tests are
//! skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmus::event::{Event, Observer};
use dmus::host::failure::{Class, Diagnosed};
use dmus::machine::device::{DeviceCommand, DeviceSource, resources};
use dmus::machine::{Device, Offer, Part};
use dmus::provision::{Workspace, cpp_driver, inf};
use dmus::testbed::session::{Consequence, SessionError};
use dmus::testbed::{Bars, Conditions, TestBed, TestBedBuilder, TestBedError};

/// The INF of the driver, from the workspace's root.
const INF: &str = "guest-driver/fixture/drivers/devices/devices.inf";

/// A test's result, or what it fails with.
type Tested = Result<(), TestBedError>;

fn workspace() -> Workspace {
    Workspace::find().expect("the tests run in the checkout")
}

/// Returns a test bed with the driver on a device; `None` without the tools for it.
fn bed(name: &str, device: Device) -> Option<TestBedBuilder<'static>> {
    bed_of(None, name, device)
}

/// Returns a test bed with a variant of the driver on a device; `None` without the tools for it.
fn bed_of(variant: Option<&str>, name: &str, device: Device) -> Option<TestBedBuilder<'static>> {
    let workspace = workspace();
    let script = workspace.root.join("guest-driver/fixture/build.sh");
    match cpp_driver::build(&script, Some("devices"), variant, &workspace) {
        Ok(driver) => Some(TestBed::builder().name(name).driver(driver).device(device)),
        Err(cpp_driver::CppDriverError::ToolMissing(reason)) => {
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs a test unless an artefact is missing.
fn run(name: &str, device: Device, test: impl FnOnce(TestBedBuilder<'static>) -> Tested) -> Tested {
    let Some(bed) = bed(name, device) else { return Ok(()) };
    match test(bed) {
        Err(error) if error.class() == Class::MissingArtefact => {
            println!("skipped: {error}");
            Ok(())
        }
        other => other,
    }
}

/// Boots, and expects the driver to have printed these lines.
fn boot_and_expect(bed: TestBedBuilder<'static>, lines: &[&str]) -> Result<TestBed<'static>, TestBedError> {
    let mut bed = bed.boot()?;
    for line in lines {
        bed.expect_log(&format!("devices: {line}"))?;
    }
    Ok(bed)
}

fn qemu(arguments: &str) -> Device {
    let source = DeviceSource::Qemu(arguments.parse().expect("arguments of QEMU's -device"));
    Device { source, ..Device::default() }
}

fn installed(device: Device) -> Device {
    let read = inf::read(&workspace().root.join(INF)).expect("the driver's INF");
    assert_eq!(read.warnings(Some("devices.sys".as_ref())), Vec::<String>::new());
    Device { installation: Some(read.installation), ..device }
}

fn command(text: &str) -> Device {
    let command = DeviceCommand::parse(text, None).expect("a command");
    Device { source: DeviceSource::Command(command), ..Device::default() }
}

/// Builds the MPU-401 of crate `vfio-user-card`, and returns its command.
fn mpu401() -> Device {
    let workspace = workspace();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // Not of the package: its dependencies would have fewer features than `cargo test --workspace` has built, and be built again.
    build.args(["build", "--quiet", "--workspace", "--example", "mpu401"]);
    assert!(build.current_dir(&workspace.root).status().expect("cargo runs").success());
    let program = workspace.target.join("debug/examples/mpu401");
    command(&format!("'{}' {{socket}} {{control}}", program.display()))
}

/// The error of a test bed that must not start.
fn failure(bed: TestBedBuilder<'static>) -> TestBedError {
    bed.boot().err().expect("the device does not work")
}

#[test]
fn a_device_of_qemus_reaches_its_driver_with_what_its_inf_installs() -> Tested {
    run("devices-edu", installed(qemu("edu")), |bed| {
        let mut bed = boot_and_expect(
            bed,
            &[
                "0 ports, 1 memory, 1 interrupts, 0 channels",
                "the description is QEMU's device for education",
                "the hardware id is PCI\\VEN_1234&DEV_11E8&SUBSYS_11001AF4&REV_10",
                "the enumerator is PCI",
                "the class is MEDIA",
                "the driver's key is {4d36e96c-e325-11ce-bfc1-08002be10318}\\0000",
                "the manufacturer is a card's maker",
                "the bus is 5, status 0x0",
                "Greeting of the driver is hello, a card's maker",
                "Number of the driver is 42",
                "Colour of the device is green",
                "Volume of the service \\Registry\\Machine\\System\\CurrentControlSet\\Services\\devices is 11, status 0x0",
                "1 interrupts claimed",
                // By the NT host, as a client of the block that the driver provides.
                "WMI asks for instance 0, 1 of them",
            ],
        )?;
        bed.expect_interrupts(1..)?;
        assert!(bed.card().is_none() && bed.card_status()?.is_none());
        let error = bed.expect_no_diagnosis().expect_err("there is no card to ask");
        assert!(matches!(error, TestBedError::NotTheCard { .. }), "{error}");
        // Stopped and started again, at another address.
        bed.restart_device()?;
        bed.shut_down().map(drop)
    })
}

#[test]
fn registers_of_another_function_are_not_the_drivers_to_map() {
    // A second function, whose registers are memory too.
    let two = Device { pci: Some("1234:11e8".parse().expect("ids")), ..qemu("edu -device pci-testdev") };
    let Some(bed) = bed_of(Some("other_registers_mapped"), "devices-other-registers", two) else { return };
    let error = failure(bed);
    if error.class() == Class::MissingArtefact {
        println!("skipped: {error}");
        return;
    }
    let Some(SessionError::BugCheck(found)) = error.session_error() else { panic!("no bug check, but: {error}") };
    assert_eq!(found.rule, Some(118), "{}", found.message);
    assert!(found.message.contains("registers of 00:02.0 1b36:0005"), "{}", found.message);
}

#[test]
fn memory_of_64_bits_is_above_4_gib_where_the_options_place_it() -> Tested {
    let device = || Device { pci: "1b36:0005".parse().ok(), ..qemu("pci-testdev,membar=8G") };
    let above = Conditions { bars: Bars::Above4G, ..Conditions::default() };
    run("devices-above-4g", device(), |bed| {
        let lines = ["memory 0 GiB up, of 0x1000 bytes", "large memory 0x800000000, of 0x200000000 bytes"];
        let mut bed = boot_and_expect(bed.conditions(above), &lines)?;
        // Elsewhere, on the same side.
        bed.restart_device()?;
        bed.expect_log("devices: large memory 0xa00000000, of 0x200000000 bytes")?;
        bed.shut_down().map(drop)
    })
}

#[test]
fn a_line_of_the_isa_bus_interrupts_at_the_resources_given_by_hand() -> Tested {
    let isa = Device {
        resources: resources("port=0x2f8+8,irq=3,dma=1").expect("resources"),
        ..installed(qemu("isa-serial,iobase=0x2f8,irq=3"))
    };
    run("devices-isa", isa, |bed| {
        let mut bed = boot_and_expect(
            bed,
            &[
                "1 ports, 0 memory, 1 interrupts, 1 channels",
                "port 0x2f8+8",
                "channel 1",
                "interrupt 3, level 6 is vector >> 4: 1, latched 1, exclusive 1",
                "the description is A device of no bus",
                "the hardware id is ROOT\\DEVICES",
                "the enumerator is ROOT",
                "the bus is 1, status 0x0",
                "Greeting of the driver is hello, a card's maker",
                "1 interrupts claimed",
            ],
        )?;
        let resources = bed.device().map(|device| device.resources.clone()).unwrap_or_default();
        assert_eq!(resources[0], "ports 0x2f8..0x300");
        bed.expect_interrupts(1..=1)?;
        bed.restart_device()?;
        bed.expect_interrupts(2..=2)?;
        bed.shut_down().map(drop)
    })
}

#[test]
fn no_interrupt_comes_at_a_line_that_is_not_the_devices() -> Tested {
    let other_line = Device {
        resources: resources("port=0x2f8+8,irq=5").expect("resources"),
        ..qemu("isa-serial,iobase=0x2f8,irq=3")
    };
    run("devices-other-line", other_line, |bed| {
        let mut bed = boot_and_expect(bed, &["interrupt 5, level 8", "0 interrupts claimed"])?;
        bed.expect_interrupts(0..=0)?;
        bed.shut_down().map(drop)
    })
}

#[test]
fn a_driver_without_a_device_gets_no_resources() -> Tested {
    let none = Device { source: DeviceSource::None, ..Device::default() };
    run("devices-none", none, |bed| {
        let lines = ["0 ports, 0 memory, 0 interrupts, 0 channels", "the hardware id is ROOT\\MEDIA", "the bus is 15"];
        let mut bed = boot_and_expect(bed, &lines)?;
        bed.restart_device()?;
        bed.shut_down().map(drop)
    })
}

#[test]
fn one_of_several_equal_functions_is_chosen_by_its_number() -> Tested {
    let two = |pci: Option<&str>| Device { pci: pci.map(|ids| ids.parse().expect("ids")), ..qemu("edu -device edu") };
    run("devices-second", two(Some("1234:11e8:1")), |bed| {
        let mut bed = bed.boot()?;
        assert_eq!(bed.device().map(|device| device.device.as_str()), Some("00:02.0 1234:11e8"));
        bed.shut_down().map(drop)
    })?;
    for (pci, expected) in [
        (None, "several functions are for the driver: 00:01.0 1234:11e8, 00:02.0 1234:11e8; name one by --pci"),
        (Some("1234:11e8"), "several functions are 1234:11e8: "),
        (Some("1234:11e8:2"), "there is no function 1234:11e8:2: there are 2, numbered from 0, 00:01.0"),
        (Some("8086:2415"), "there is no function 8086:2415: the PCI bus has "),
    ] {
        run("devices-choice", two(pci), |bed| {
            let error = failure(bed);
            if error.class() == Class::MissingArtefact {
                return Err(error);
            }
            assert!(error.to_string().contains(expected), "{pci:?}: {error}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_device_that_qemu_refuses_is_named_with_qemus_words() -> Tested {
    for (arguments, expected) in
        [("nonsense", "QEMU refuses the device `nonsense`: "), ("edu,frob=1", "Property 'edu.frob' not found")]
    {
        run("devices-refused", qemu(arguments), |bed| {
            let error = failure(bed);
            if error.class() == Class::MissingArtefact {
                return Err(error);
            }
            assert!(error.to_string().contains(expected) && error.class() == Class::Usage, "{error}");
            Ok(())
        })?;
    }
    let error = TestBed::builder().device(qemu("edu")).boot().err().expect("there is no driver");
    assert!(error.to_string().starts_with("there is no driver for the device `edu`"), "{error}");
    assert_eq!(error.class(), Class::Usage);
    Ok(())
}

#[test]
fn a_command_that_serves_no_device_is_named() -> Tested {
    for (text, expected) in [
        ("sh -c 'echo no card >&2; exit 3' x {socket}", "ended before it listened: exit status 3, by itself"),
        ("sh -c 'sleep 1000' x {socket}", "does not listen on "),
    ] {
        run("devices-command", command(text), |bed| {
            let error = failure(bed);
            if error.class() == Class::MissingArtefact {
                return Err(error);
            }
            assert_eq!(error.class(), Class::CardDied, "{error}");
            let found = error.to_string();
            assert!(found.starts_with(&format!("the device `{text}` ")) && found.contains(expected), "{found}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_device_of_a_command_is_started_asked_and_ended() -> Tested {
    run("devices-mpu401", mpu401(), |bed| {
        let mut bed = boot_and_expect(bed, &["1 ports, 0 memory, 1 interrupts, 0 channels"])?;
        let socket = socket_of(&bed);
        assert!(socket.exists());
        let control = bed.device_control().expect("the command has {control}");
        assert_eq!(control.name(), "`mpu401`");
        assert!(control.offers(Offer::Bytes) && control.offers(Offer::MidiIn));
        control.status()?;
        assert_eq!(control.bytes()?.lost, 0);
        bed.shut_down()?;
        drop(bed);
        assert!(!socket.exists(), "nothing is left");
        Ok(())
    })
}

/// Returns the socket of the device, as its command line has it.
fn socket_of(bed: &TestBed<'_>) -> PathBuf {
    PathBuf::from(&bed.session.health.device.command_line()[1])
}

#[test]
fn a_device_that_dies_or_hangs_is_named() -> Tested {
    for hangs in [false, true] {
        run("devices-fault", mpu401(), |bed| {
            let mut bed = bed.timeout(Duration::from_secs(60)).start()?;
            bed.session.ready()?;
            bed.session.hello()?;
            bed.load_driver()?;
            if hangs {
                assert!(bed.freeze_card(true));
            } else {
                bed.kill(Part::Card);
            }
            let started = bed.start_device().map(drop).and_then(|()| bed.shut_down().map(drop));
            let error = started.expect_err("the device is gone");
            let error = bed.cause("use the device", error);
            let text = error.to_string();
            let expected = if hangs { " was lost during \"" } else { " died during \"" };
            assert!(text.starts_with("the device `'") && text.contains(expected), "{text}");
            assert_eq!(error.class(), Class::CardDied, "{text}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_socket_of_a_device_that_runs_elsewhere_may_be_dead() -> Tested {
    let elsewhere = Device { source: DeviceSource::VfioUser(Path::new("/nowhere/socket").into()), ..Device::default() };
    run("devices-elsewhere", elsewhere, |bed| {
        let error = failure(bed);
        if error.class() == Class::MissingArtefact {
            return Err(error);
        }
        assert!(error.to_string().starts_with("QEMU refuses the vfio-user device at /nowhere/socket: "), "{error}");
        assert_eq!(error.class(), Class::CardDied);
        Ok(())
    })
}

/// Collects the warnings of a test bed.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        }
    }
}

#[test]
fn interfaces_that_the_inf_and_the_driver_do_not_share_are_named() -> Tested {
    let path = workspace().root.join("guest-driver/inf/dmuscard.inf");
    let own = std::fs::read_to_string(&path).expect("the INF of the project's driver");
    let renamed = own.replace("KSNAME_DirectMusic     = \"DirectMusic\"", "KSNAME_DirectMusic = \"Synth\"");
    for (text, expected) in [(own, 0), (renamed, 8)] {
        let installation = inf::parse(&path, text.as_bytes()).expect("an INF").installation;
        let warnings = Warnings::default();
        let device = Device { installation: Some(installation), ..Device::default() };
        let booted = TestBed::builder().name("devices-interfaces").device(device).observer(&warnings).boot();
        match booted {
            Err(error) if error.class() == Class::MissingArtefact => {
                println!("skipped: {error}");
                return Ok(());
            }
            other => other?.shut_down()?,
        };
        let found = warnings.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of_interfaces: Vec<_> = found.iter().filter(|text| text.contains("AddInterface")).collect();
        assert_eq!(of_interfaces.len(), expected, "{found:?}");
    }
    Ok(())
}
